"""The SCU against pynetdicom's SCP on loopback: statuses, verbatim bytes, losses, refusals."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification
from support.peers import free_port

from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, Outcome
from dicomnode.deliver.part10 import NotPart10, data_set_bytes
from dicomnode.deliver.scu import Outgoing, batches, echo, open_association

NO_RESPONSE = Timeouts(connect=60.0, acse=60.0, dimse=1.0)


def outgoing(name: str = "CT_small.dcm", uid: str | None = None) -> Outgoing:
    file = Path(str(get_testdata_file(name, download=False)))
    dataset = dcmread(file, stop_before_pixels=True)
    syntax = dataset.file_meta.TransferSyntaxUID
    return Outgoing(str(dataset.SOPClassUID), uid or str(dataset.SOPInstanceUID), str(syntax), file.read_bytes)


@dataclass
class Scp:
    """What a test's SCP saw, and the destination to reach it."""

    destination: Destination
    received: list[tuple[str, bytes]] = field(default_factory=list)
    releases: int = 0
    aborts: int = 0


@contextmanager
def scp(answer: Callable[[Any], int] = lambda event: 0, *, syntaxes: list[str] | None = None) -> Iterator[Scp]:
    port = free_port()
    seen = Scp(Destination("pacs", "PACS", "127.0.0.1", port))
    ae = AE(ae_title="PACS")
    ae.require_called_aet = True
    ae.add_supported_context(Verification)
    for sop_class in (CTImageStorage, MRImageStorage):
        ae.add_supported_context(sop_class, syntaxes or [ExplicitVRLittleEndian])

    def on_store(event: Any) -> int:
        seen.received.append((event.request.AffectedSOPInstanceUID, event.request.DataSet.getvalue()))
        return answer(event)

    def on_release(event: Any) -> None:
        seen.releases += 1

    def on_abort(event: Any) -> None:
        seen.aborts += 1

    handlers = [(evt.EVT_C_STORE, on_store), (evt.EVT_RELEASED, on_release), (evt.EVT_ABORTED, on_abort)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield seen
    finally:
        server.shutdown()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_data_set_arrives_byte_for_byte_and_the_association_is_released() -> None:
    one, two = outgoing("CT_small.dcm"), outgoing("MR_small.dcm")
    with scp() as pacs:
        with open_association(pacs.destination, "NODE", [one, two]) as session:
            responses = [session.send(one), session.send(two)]
        until(lambda: pacs.releases == 1)
    assert [response.outcome for response in responses] == [Outcome.STORED] * 2
    assert pacs.received == [(each.sop_instance_uid, data_set_bytes(each.read()).tobytes()) for each in (one, two)]
    assert pacs.aborts == 0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(0xA700, Outcome.TRANSIENT), (0xB000, Outcome.WARNING), (0xC000, Outcome.PERMANENT)],
)
def test_a_status_is_judged_and_the_association_goes_on(status: int, outcome: Outcome) -> None:
    answers = iter([status, 0x0000])
    one = outgoing()
    with scp(lambda event: next(answers)) as pacs, open_association(pacs.destination, "NODE", [one]) as session:
        first = session.send(one)
        assert (first.status, first.outcome) == (status, outcome)
        assert session.is_open
        assert session.send(one).outcome is Outcome.STORED


def test_an_abort_amid_the_series_is_a_lost_response() -> None:
    def abort_at_the_second(event: Any) -> int:
        if event.request.MessageID == 2:
            event.assoc.abort(block=False)
        return 0x0000

    one = outgoing()
    with scp(abort_at_the_second) as pacs, open_association(pacs.destination, "NODE", [one]) as session:
        assert session.send(one).stored
        lost = session.send(one)
        assert (lost.status, lost.outcome) == (None, Outcome.TRANSIENT)
        assert "aborted" in lost.detail
        assert not session.is_open
        with pytest.raises(RuntimeError, match="the association is over"):
            session.send(one)


def test_silence_ends_at_the_time_out_with_an_abort() -> None:
    answered = threading.Event()
    one = outgoing()
    with scp(lambda event: int(not answered.wait(60))) as pacs:
        with open_association(pacs.destination, "NODE", [one], timeouts=NO_RESPONSE) as session:
            started = time.monotonic()
            lost = session.send(one)
            assert 0.9 < time.monotonic() - started < 30.0
            assert lost.outcome is Outcome.TRANSIENT
            assert "silent" in lost.detail
        answered.set()
        until(lambda: pacs.aborts == 1)


def test_stop_aborts_at_once() -> None:
    stop, answered = threading.Event(), threading.Event()
    one = outgoing()
    with scp(lambda event: int(not answered.wait(60))) as pacs:
        with open_association(pacs.destination, "NODE", [one], stop=stop) as session:
            threading.Timer(0.2, stop.set).start()
            started = time.monotonic()
            assert session.send(one).outcome is Outcome.TRANSIENT
            assert time.monotonic() - started < 30.0
        answered.set()
        until(lambda: pacs.aborts == 1)


def test_an_error_of_the_caller_aborts_the_association() -> None:
    one = outgoing()
    with scp() as pacs:
        with pytest.raises(KeyError), open_association(pacs.destination, "NODE", [one]):
            raise KeyError("ours")
        until(lambda: pacs.aborts == 1)


def test_a_wrong_called_ae_title_is_an_error_of_configuration() -> None:
    with scp() as pacs:
        wrong = Destination("pacs", "OTHER", pacs.destination.host, pacs.destination.port)
        with pytest.raises(AssociationFailed) as caught, open_association(wrong, "NODE", [outgoing()]):
            pytest.fail("the association must be rejected")
    assert caught.value.kind is FailureKind.CONFIGURATION
    assert not caught.value.transient
    assert "called AE title" in caught.value.reason


@pytest.mark.parametrize("ae_title", ["", "A TITLE OF MORE THAN SIXTEEN", "NEW\nLINE"])
def test_an_impossible_ae_title_is_an_error_of_configuration(ae_title: str) -> None:
    nowhere = Destination("pacs", ae_title, "127.0.0.1", free_port())
    with pytest.raises(AssociationFailed) as caught, open_association(nowhere, "NODE", [outgoing()]):
        pytest.fail("there is no such association")
    assert (caught.value.kind, caught.value.transient) == (FailureKind.CONFIGURATION, False)


def test_a_refused_context_fails_its_instances_only() -> None:
    compressed, plain = outgoing("JPEG-LL.dcm"), outgoing("CT_small.dcm")
    with scp() as pacs, open_association(pacs.destination, "NODE", [compressed, plain]) as session:
        refused = session.send(compressed)
        assert refused.outcome is Outcome.PERMANENT
        assert "does not take" in refused.detail
        assert session.send(plain).stored
    assert len(pacs.received) == 1


def test_an_association_that_takes_nothing_still_says_why() -> None:
    compressed = outgoing("JPEG-LL.dcm")
    with scp() as pacs, open_association(pacs.destination, "NODE", [compressed]) as session:
        assert session.send(compressed).outcome is Outcome.PERMANENT


def test_a_refused_connection_is_transient() -> None:
    nowhere = Destination("pacs", "PACS", "127.0.0.1", free_port())
    with pytest.raises(AssociationFailed) as caught:
        echo(nowhere, "NODE")
    assert (caught.value.kind, caught.value.transient) == (FailureKind.CONNECTION, True)
    assert "Connection refused" in caught.value.reason


def test_an_unknown_host_is_transient() -> None:
    with pytest.raises(AssociationFailed) as caught:
        echo(Destination("pacs", "PACS", "no-such-host.invalid", 104), "NODE")
    assert (caught.value.kind, caught.value.transient) == (FailureKind.NAME, True)


def test_echo() -> None:
    with scp() as pacs:
        assert echo(pacs.destination, "NODE") == 0x0000


def test_what_is_no_dicom_file_is_not_sent() -> None:
    good = outgoing()
    bad = Outgoing(good.sop_class_uid, good.sop_instance_uid, good.transfer_syntax_uid, lambda: b"no file")
    with scp() as pacs, open_association(pacs.destination, "NODE", [bad]) as session:
        with pytest.raises(NotPart10):
            session.send(bad)
        assert session.send(good).stored
    assert len(pacs.received) == 1


def test_batches_fit_into_an_association() -> None:
    outgoings = [Outgoing(f"1.2.{number % 300}", "1.2", "1.2.840.10008.1.2.1", bytes) for number in range(600)]
    split = list(batches(outgoings))
    assert [one for batch in split for one in batch] == outgoings
    assert all(len({one.syntax for one in batch}) <= 128 for batch in split)
    assert list(batches([])) == []
    with (
        pytest.raises(ValueError, match="1 to 128"),
        open_association(Destination("pacs", "PACS", "127.0.0.1", 1), "NODE", outgoings),
    ):
        pytest.fail("there is no such association")
