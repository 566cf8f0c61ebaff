"""A storage commitment request says that a series is complete: before, with, and after its last instance."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from support.flowbench import FlowBench
from support.series import make_ct_series

from dicomnode.db.models import AuditEvent, CommitmentReport, CommitmentRequest, Manifest, Series
from dicomnode.flow import complete_due
from dicomnode.store import index

pytestmark = pytest.mark.usefixtures("each_database")

CT = "1.2.840.10008.5.1.4.1.1.2"


def ask(
    bench: FlowBench, files: list[Path], transaction: str = "1.2.9", calling: str = "CT1", at: datetime | None = None
) -> None:
    """The note that a receiver makes of an N-ACTION request, and the index's look at it."""
    listed = [[CT, str(dcmread(file, stop_before_pixels=True).SOPInstanceUID)] for file in files]
    bench.journal.note(
        {
            "event": "commitment-request",
            "at": (at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
            "association": "a-7",
            "calling_aet": calling,
            "called_aet": "DICOMNODE",
            "peer": "127.0.0.1",
            "transaction_uid": transaction,
            "instances": listed,
        }
    )
    bench.indexer.run()


def due(bench: FlowBench) -> list[str]:
    """Why each series is complete at once; empty for one that waits for its quiet time."""
    found = []
    for series in bench.series():
        assert series.due_at is not None
        assert series.quiet_at is not None
        found.append(series.due_reason if series.due_at < series.quiet_at else "")
    return found


REASON = "all 3 instances listed by the storage commitment request have arrived"


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    return FlowBench(tmp_path / "node")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 3, rows=32)


def test_a_request_behind_the_last_instance_completes_its_series(bench: FlowBench, files: list[Path]) -> None:
    bench.receive_files(files)
    assert due(bench) == [""]
    ask(bench, files)
    assert due(bench) == [REASON]
    assert complete_due(bench.flow) == 1


def test_an_attempt_of_the_index_that_was_rolled_back_is_not_counted(
    bench: FlowBench, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too high a count would seem to be more than the list names."""
    bench.receive_files(files[:1])
    real, crossed = index.container_rows.advance, [IntegrityError("", {}, Exception("crossed"))]

    def advance(*arguments: Any) -> None:
        if crossed:
            raise crossed.pop()
        real(*arguments)

    monkeypatch.setattr(index.container_rows, "advance", advance)
    bench.receive_files(files[1:])
    ask(bench, files)
    assert crossed == []
    assert due(bench) == [REASON]


def test_a_request_before_the_last_instance_waits_for_it(bench: FlowBench, files: list[Path]) -> None:
    bench.receive_files(files[:1])
    ask(bench, files)
    assert due(bench) == [""]
    bench.receive_files(files[1:2])
    assert due(bench) == [""]
    bench.receive_files(files[2:])
    assert due(bench) == [REASON]


def test_a_request_before_the_first_instance_waits_too(bench: FlowBench, files: list[Path]) -> None:
    ask(bench, files)
    bench.receive_files(files)
    assert due(bench) == [REASON]


def test_a_list_over_two_series_completes_both_when_all_is_here(bench: FlowBench, tmp_path: Path) -> None:
    first, second = (make_ct_series(tmp_path / f"ct{seed}", 3, rows=32, seed=seed) for seed in (1, 2))
    bench.receive_files(first)
    ask(bench, [*first, *second])
    assert due(bench) == [""]
    bench.receive_files(second)
    assert due(bench) == [REASON, REASON]


def test_a_request_for_each_image_proves_nothing_until_they_name_all(bench: FlowBench, files: list[Path]) -> None:
    bench.receive_files(files)
    ask(bench, files[:1], "1.2.9.1")
    ask(bench, files[1:2], "1.2.9.2")
    assert due(bench) == [""]
    ask(bench, files[2:], "1.2.9.3")
    assert due(bench) == [REASON]


def test_another_sender_says_nothing_of_this_series(bench: FlowBench, files: list[Path]) -> None:
    bench.receive_files(files)
    ask(bench, files, calling="SOMEBODY")
    assert due(bench) == [""]


def test_the_same_note_read_twice_is_one_request(bench: FlowBench, files: list[Path]) -> None:
    at = datetime.now(UTC)
    bench.receive_files(files)
    ask(bench, files, at=at)
    ask(bench, files, at=at)
    with bench.flow.database.read() as session:
        (request,) = session.scalars(select(CommitmentRequest))
        (manifest,) = session.scalars(select(Manifest))
    assert (request.state, request.calling_aet, request.address) == ("waiting", "CT1", "127.0.0.1")
    assert request.arrived_at is not None
    assert len(request.instances) == len(manifest.sop_uids) == 3
    assert bench.events().count("commitment.requested") == 1


def test_a_report_is_kept_once_whoever_asked_for_it(bench: FlowBench) -> None:
    note = {
        "event": "commitment-report",
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "association": "a-8",
        "calling_aet": "PACS",
        "called_aet": "DICOMNODE",
        "peer": "127.0.0.1",
        "transaction_uid": "1.2.10",
        "event_type": 2,
        "committed": ["1.2.3"],
        "failed": [["1.2.4", 0x0112]],
    }
    for _ in range(2):
        bench.journal.note(note, sync=True)
        bench.indexer.run()
    with bench.flow.database.read() as session:
        (report,) = session.scalars(select(CommitmentReport))
        (event,) = session.scalars(select(AuditEvent).where(AuditEvent.kind == "commitment.heard"))
    assert (report.transaction_uid, report.event_type, report.applied_at) == ("1.2.10", 2, None)
    assert (report.committed, report.failed) == (["1.2.3"], [["1.2.4", 0x0112]])
    assert (event.outcome, event.detail["failed"]) == ("warning", 1)


def test_a_request_for_a_series_that_is_complete_changes_nothing_of_it(bench: FlowBench, files: list[Path]) -> None:
    bench.receive_files(files)
    assert bench.complete() == 1
    ask(bench, files)
    with bench.flow.database.read() as session:
        assert [(row.state, row.generation, row.due_at) for row in session.scalars(select(Series))] == [
            ("complete", 1, None)
        ]
