"""A modality is told what became of its request: where it listens, until it has heard it, always in the same words."""

import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import update
from support.asking import AskingModality
from support.series import make_ct_series
from support.vouching import CT, VouchingBench

from dicomnode.db.database import now as database_now
from dicomnode.db.models import CommitmentRequest
from dicomnode.db.repositories import commitment_requests
from dicomnode.db.repositories import site as site_rows
from dicomnode.deliver.destination import Timeouts
from dicomnode.flow.commitment import reporting
from dicomnode.flow.commitment.telling import Voucher, vouch_due
from dicomnode.settings import DicomSettings, PeerSettings

pytestmark = pytest.mark.torch

UNKNOWN = "1.2.3.4"


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a modality on a busy machine; and one that is silent is still waited for when another has been told."""
    monkeypatch.setattr(reporting, "TIMEOUTS", Timeouts(connect=60.0, acse=60.0, dimse=60.0))


@pytest.fixture
def modality() -> Iterator[AskingModality]:
    modality = AskingModality("CT1")
    yield modality
    modality.stop()


@pytest.fixture
def datasets(tmp_path: Path) -> list[Dataset]:
    return [dcmread(file) for file in make_ct_series(tmp_path / "ct", 2, rows=32)]


@pytest.fixture
def bench(tmp_path: Path, datasets: list[Dataset], modality: AskingModality) -> VouchingBench:
    """CT1 asked for two stored instances and for one that never came; the settings know where it listens."""
    bench = VouchingBench(tmp_path / "node")
    bench.again(datasets)
    know(bench, modality)
    bench.ask(*(str(dataset.SOPInstanceUID) for dataset in datasets), UNKNOWN)
    return bench


def know(bench: VouchingBench, modality: AskingModality) -> None:
    peers = {"CT1": PeerSettings(report_to=f"localhost:{modality.port}")}
    bench.flow.settings = bench.flow.settings.model_copy(update={"dicom": DicomSettings(peers=peers)})


def turn(bench: VouchingBench) -> CommitmentRequest:
    """All that is to be done comes due, and is done."""
    with bench.flow.database.write() as session:
        open_ones = CommitmentRequest.due_at.is_not(None)
        past = database_now(session) - timedelta(seconds=1)
        session.execute(update(CommitmentRequest).where(open_ones).values(due_at=past))
    assert vouch_due(bench.flow)
    return bench.request()


def clock(bench: VouchingBench) -> datetime:
    with bench.flow.database.read() as session:
        return database_now(session)


def test_it_hears_which_are_kept_and_which_are_not(
    bench: VouchingBench, modality: AskingModality, datasets: list[Dataset]
) -> None:
    modality.start()
    assert turn(bench).state == "judged"
    row = turn(bench)
    assert (row.state, row.due_at, row.reason) == ("reported", None, "")
    (told,) = modality.told
    assert (told.calling_aet, told.event_type, told.transaction_uid) == ("DICOMNODE", 2, "1.2.9")
    assert told.committed == {(CT, str(dataset.SOPInstanceUID)) for dataset in datasets}
    assert told.failed == {(CT, UNKNOWN, 0x0112)}
    assert bench.event("commitment.reported").subject == "commitment:1.2.9"
    assert not vouch_due(bench.flow)


def test_one_that_is_away_is_tried_again_later_and_later(bench: VouchingBench, modality: AskingModality) -> None:
    turn(bench)
    for attempt, most in enumerate((2.0, 4.0, 8.0, 16.0), start=1):
        before = clock(bench)
        row = turn(bench)
        assert (row.state, row.attempts) == ("judged", attempt)
        assert row.due_at is not None
        assert before + timedelta(seconds=most / 2) <= row.due_at <= clock(bench) + timedelta(seconds=most)
    assert str(modality.port) in row.reason
    modality.start()
    assert turn(bench).state == "reported"
    assert len(modality.told) == 1


def test_one_that_answers_with_a_failure_has_not_heard_it(bench: VouchingBench, modality: AskingModality) -> None:
    modality.start()
    modality.status = 0x0110
    turn(bench)
    row = turn(bench)
    assert row.state == "judged"
    assert "0110" in row.reason
    modality.status = 0x0000
    assert turn(bench).state == "reported"
    assert modality.told[0] == modality.told[1]


def test_one_that_never_comes_back_is_given_up_in_the_end(bench: VouchingBench, modality: AskingModality) -> None:
    turn(bench)
    turn(bench)
    with bench.flow.database.write() as session:
        session.execute(update(CommitmentRequest).values(report_until=database_now(session)))
    row = turn(bench)
    assert (row.state, row.due_at) == ("abandoned", None)
    assert "it was tried 2 times" in row.reason
    event = bench.event("commitment.abandoned")
    assert (event.outcome, event.message) == ("failure", row.reason)
    modality.start()
    with bench.flow.database.write() as session:
        assert commitment_requests.reopen(session, session.merge(row))
    assert turn(bench).state == "reported"
    assert len(modality.told) == 1


def test_one_that_nobody_knows_is_given_up_at_once(bench: VouchingBench) -> None:
    bench.flow.settings = bench.flow.settings.model_copy(update={"dicom": DicomSettings()})
    turn(bench)
    row = turn(bench)
    assert row.state == "abandoned"
    assert row.reason == (
        'nobody knows where CT1 listens: add a destination with this AE title, or set dicom.peers."CT1".report_to'
    )


def test_the_sites_destination_goes_before_the_settings(bench: VouchingBench, modality: AskingModality) -> None:
    modality.start()
    bench.flow.settings = bench.flow.settings.model_copy(update={"dicom": DicomSettings()})
    with bench.flow.database.write() as session:
        row = site_rows.newest(session)
        assert row is not None
        ct = {"name": "scanner", "kind": "dimse", "ae_title": "CT1", "host": "127.0.0.1", "port": modality.port}
        document = {**row.document, "destinations": [*row.document["destinations"], ct]}
        site_rows.add(session, document, "test", "", database_now(session))
    turn(bench)
    assert turn(bench).state == "reported"


def test_asked_twice_it_is_told_the_same_twice(
    bench: VouchingBench, modality: AskingModality, datasets: list[Dataset]
) -> None:
    """Even if what was not there then has come meanwhile: one Transaction UID has one answer."""
    modality.start()
    turn(bench)
    turn(bench)
    datasets[0].SOPInstanceUID = datasets[0].file_meta.MediaStorageSOPInstanceUID = UNKNOWN
    bench.again(datasets[:1])
    bench.ask(*(uid for _, uid in bench.request().instances))
    assert bench.request().state == "judged"
    assert turn(bench).state == "reported"
    first, second = modality.told
    assert first == second


def test_other_instances_under_the_same_transaction_uid(
    bench: VouchingBench, modality: AskingModality, datasets: list[Dataset]
) -> None:
    modality.start()
    bench.ask(str(datasets[0].SOPInstanceUID))
    for _ in range(2):
        with bench.flow.database.write() as session:
            past = database_now(session) - timedelta(seconds=1)
            session.execute(update(CommitmentRequest).where(CommitmentRequest.due_at.is_not(None)).values(due_at=past))
        vouch_due(bench.flow)
    reasons = sorted((told.reasons for told in modality.told), key=len)
    assert {UNKNOWN: 0x0112} in reasons
    assert {str(datasets[0].SOPInstanceUID): 0x0131} in reasons


def test_one_that_takes_the_connection_and_is_silent_holds_up_no_other(bench: VouchingBench) -> None:
    with AskingModality("CT2") as other, socket.create_server(("127.0.0.1", 0)) as silent:
        peers = {
            "CT1": PeerSettings(report_to=f"127.0.0.1:{silent.getsockname()[1]}"),
            "CT2": PeerSettings(report_to=f"127.0.0.1:{other.port}"),
        }
        bench.flow.settings = bench.flow.settings.model_copy(update={"dicom": DicomSettings(peers=peers)})
        voucher = Voucher(bench.flow)
        voucher.start()
        called, _ = silent.accept()
        bench.ask(UNKNOWN, transaction_uid="1.2.10", calling_aet="CT2")
        (told,) = other.wait_for(1)
        assert told.reasons == {UNKNOWN: 0x0112}
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("tell-CT1")]
        with bench.flow.database.read() as session:
            assert [row.attempts for row in commitment_requests.find(session, "1.2.9")] == [0], "it still has time"
        called.close()
    voucher.stop()
    with bench.flow.database.read() as session:
        assert [row.attempts for row in commitment_requests.find(session, "1.2.9")] == [1]


def test_while_one_modality_is_away_another_is_told(bench: VouchingBench, modality: AskingModality) -> None:
    with AskingModality("CT2") as other:
        peers = {
            "CT1": PeerSettings(report_to=f"localhost:{modality.port}"),
            "CT2": PeerSettings(report_to=f"127.0.0.1:{other.port}"),
        }
        bench.flow.settings = bench.flow.settings.model_copy(update={"dicom": DicomSettings(peers=peers)})
        bench.ask(UNKNOWN, transaction_uid="1.2.10", calling_aet="CT2")
        for _ in range(3):
            vouch_due(bench.flow)
        (told,) = other.told
        assert told.reasons == {UNKNOWN: 0x0112}
