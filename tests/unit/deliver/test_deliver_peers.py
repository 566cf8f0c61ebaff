"""The SCU against DCMTK's storescp and Orthanc."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from support.peers import Orthanc, StoreScp
from support.series import make_ct_series, make_mr_series

from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, Outcome
from dicomnode.deliver.part10 import data_set_bytes
from dicomnode.deliver.scu import Outgoing, echo, open_association

pytestmark = pytest.mark.peers


def outgoing(file: Path) -> Outgoing:
    dataset = dcmread(file, stop_before_pixels=True)
    syntax = dataset.file_meta.TransferSyntaxUID
    return Outgoing(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(syntax), file.read_bytes)


@pytest.fixture
def series(tmp_path: Path) -> list[Outgoing]:
    return [outgoing(file) for file in make_ct_series(tmp_path / "series", 5, rows=128)]


def storescp(tmp_path: Path, *flags: str) -> StoreScp:
    return StoreScp(tmp_path / "received", *flags)


def to(port: int, ae_title: str = "PACS") -> Destination:
    return Destination("pacs", ae_title, "127.0.0.1", port)


def test_storescp_keeps_the_bytes_as_they_were(tmp_path: Path, series: list[Outgoing]) -> None:
    with storescp(tmp_path, "+B") as pacs:
        assert echo(to(pacs.port), "NODE") == 0x0000
        with open_association(to(pacs.port), "NODE", series) as session:
            assert all(session.send(one).outcome is Outcome.STORED for one in series)
        received = {data_set_bytes(file.read_bytes()).tobytes() for file in pacs.files()}
    assert received == {data_set_bytes(one.read()).tobytes() for one in series}


def test_storescp_refuses(tmp_path: Path, series: list[Outgoing]) -> None:
    with storescp(tmp_path, "--refuse") as pacs, pytest.raises(AssociationFailed) as caught:
        echo(to(pacs.port), "NODE")
    assert caught.value.kind in (FailureKind.REJECTED, FailureKind.CONFIGURATION)


@pytest.mark.parametrize("when", ["--abort-during", "--abort-after"])
def test_storescp_aborts(tmp_path: Path, series: list[Outgoing], when: str) -> None:
    with storescp(tmp_path, when) as pacs, open_association(to(pacs.port), "NODE", series) as session:
        outcomes: list[Outcome] = []
        while session.is_open and len(outcomes) < len(series):
            outcomes.append(session.send(series[len(outcomes)]).outcome)
    assert outcomes[-1] is Outcome.TRANSIENT
    assert set(outcomes[:-1]) <= {Outcome.STORED}


def test_storescp_that_is_frozen_is_left_after_the_time_out(tmp_path: Path, series: list[Outgoing]) -> None:
    with storescp(tmp_path) as pacs, open_association(to(pacs.port), "NODE", series) as session:
        assert session.send(series[0]).stored
        session._association._timeouts = Timeouts(dimse=1.0)
        pacs.freeze()
        started = time.monotonic()
        assert session.send(series[1]).outcome is Outcome.TRANSIENT
        assert time.monotonic() - started < 30


@pytest.fixture
def discarding(tmp_path: Path) -> Iterator[Destination]:
    with storescp(tmp_path, "--ignore") as pacs:
        yield to(pacs.port)


def test_no_response_is_lost_in_two_thousand(discarding: Destination, tmp_path: Path) -> None:
    (one,) = [outgoing(file) for file in make_mr_series(tmp_path / "mr", 1, rows=128)]
    content = one.read()
    many = [
        Outgoing(one.sop_class_uid, f"1.2.3.{number}", one.transfer_syntax_uid, lambda: content)
        for number in range(2000)
    ]
    fastest = math.inf
    with open_association(discarding, "NODE", many) as session:
        for begin in range(0, len(many), 50):
            started = time.monotonic()
            assert all(session.send(each).stored for each in many[begin : begin + 50])
            fastest = min(fastest, time.monotonic() - started)
    assert fastest < 0.5, "more than 10 ms each: Nagle, or someone polls"


def test_orthanc(orthanc: Orthanc, series: list[Outgoing]) -> None:
    with pytest.raises(AssociationFailed) as caught:
        echo(to(orthanc.dicom_port, "WRONG"), "NODE")
    assert (caught.value.kind, caught.value.transient) == (FailureKind.CONFIGURATION, False)
    pacs = to(orthanc.dicom_port, orthanc.ae_title)
    assert echo(pacs, "NODE") == 0x0000
    with open_association(pacs, "NODE", series) as session:
        assert all(session.send(one).outcome is Outcome.STORED for one in series)
    assert orthanc.instance_count() == len(series)
    orthanc.stop()
    with pytest.raises(AssociationFailed) as caught:
        echo(pacs, "NODE")
    assert (caught.value.kind, caught.value.transient) == (FailureKind.CONNECTION, True)
