"""Corrections, conflicts and rejections: what is derived is outdated, what waits is cancelled, what is left stays."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select, update
from support.contradictions import contradict, correct
from support.flowbench import FlowBench
from support.rejections import SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.db.models import AuditEvent, DeliveryItem, Outdating, Rejection
from dicomnode.jobs.ledger import claim

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

RULES = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs, archive]
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 3, rows=32)


@pytest.fixture
def bench(tmp_path: Path, files: list[Path]) -> FlowBench:
    """A node with one series complete, and its work ready."""
    bench = FlowBench(tmp_path / "node", RULES)
    bench.receive_files(files)
    bench.complete()
    return bench


def notify(bench: FlowBench, series: Mapping[str, Sequence[str]], gone: Sequence[str], calling: str) -> None:
    """The note that a receiver makes of an Instance Availability Notification."""
    pairs = [[series_uid, uid] for series_uid, uids in series.items() for uid in uids]
    bench.journal.note(
        {
            "event": "availability",
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "association": "a-9",
            "calling_aet": calling,
            "called_aet": "DICOMNODE",
            "peer": "127.0.0.1",
            "sop_instance_uid": f"1.2.70.{calling}.{len(gone)}".replace("CT", "1").replace("PACS", "2"),
            "study_uid": "1.2",
            "available": [pair for pair in pairs if pair[1] not in gone],
            "unavailable": [pair for pair in pairs if pair[1] in gone],
        }
    )
    bench.indexer.run()


def outdatings(bench: FlowBench) -> list[tuple[str, str]]:
    with bench.flow.database.read() as session:
        return [(row.code, row.reason) for row in session.scalars(select(Outdating))]


def listed(files: Sequence[Path]) -> dict[str, list[str]]:
    headers = [dcmread(file, stop_before_pixels=True) for file in files]
    return {str(headers[0].SeriesInstanceUID): [str(header.SOPInstanceUID) for header in headers]}


def test_a_correction_outdates_what_is_done(bench: FlowBench, files: list[Path]) -> None:
    bench.work()
    correct(bench, files[1])
    (row,) = bench.enhancements()
    reason = "an instance of its source came again as a correction"
    assert (row.state, row.reason) == ("outdated", reason)
    assert outdatings(bench) == [("113038", reason)]
    assert bench.events().count("enhancement.outdated") == 1
    correct(bench, files[1])
    assert bench.events().count("enhancement.outdated") == 1


def test_what_was_not_sent_yet_of_it_is_not_sent(bench: FlowBench, files: list[Path]) -> None:
    bench.work()
    assert {delivery.state for delivery in bench.deliveries()} == {"pending"}
    contradict(bench, files[0])
    assert {delivery.state for delivery in bench.deliveries()} == {"cancelled"}
    assert outdatings(bench) == [("113001", "an instance of its source came again as a conflict")]


def test_work_that_waits_is_cancelled(bench: FlowBench, files: list[Path]) -> None:
    contradict(bench, files[0])
    (row,) = bench.enhancements()
    assert (row.state, row.reason) == ("cancelled", "an instance of its source came again as a conflict")
    assert bench.work() == 0
    assert outdatings(bench) == []


def test_work_that_waits_for_a_late_slice_is_outdated_with_what_it_made(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", RULES)
    bench.receive_files(files[:2])
    bench.complete()
    bench.work()
    bench.receive_files(files[2:])
    bench.complete()
    assert [row.state for row in bench.enhancements()] == ["ready"]
    contradict(bench, files[0])
    assert [row.state for row in bench.enhancements()] == ["outdated"]
    assert bench.work() == 0
    assert len(outdatings(bench)) == 1


def test_work_that_runs_is_cancelled_and_commits_nothing(bench: FlowBench, files: list[Path]) -> None:
    with bench.flow.database.write() as session:
        held = claim(session, "n/cpu/0", "n", 60.0)
    assert held is not None
    correct(bench, files[0])
    (row,) = bench.enhancements()
    assert row.state == "cancelled"
    assert bench.outputs() == bench.deliveries() == []


def test_a_rejection_note_outdates_what_was_derived(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    bench.work()
    bench.receive(dcmread(rejection_of(files[:2], tmp_path / "note.dcm", SAFETY)), "QC")
    (row,) = bench.enhancements()
    reason = "QC rejected 2 instances of its source: Rejected for Patient Safety Reasons"
    assert (row.state, row.reason) == ("outdated", reason)
    assert outdatings(bench) == [(SAFETY, reason)]
    with bench.flow.database.read() as session:
        marked = {row.sop_uid for row in session.scalars(select(Rejection))}
        event = session.scalars(select(AuditEvent).where(AuditEvent.kind == "series.rejected")).one()
    assert marked == set(next(iter(listed(files[:2]).values())))
    assert (event.message, event.outcome) == (reason, "warning")


def test_nothing_is_derived_from_what_was_rejected_before(tmp_path: Path, files: list[Path]) -> None:
    """The note may even come before what it rejects."""
    bench = FlowBench(tmp_path / "node", RULES)
    bench.receive(dcmread(rejection_of(files[:1], tmp_path / "note.dcm")), "QC")
    bench.receive_files(files)
    bench.complete()
    assert bench.enhancements() == []
    outcomes = {decision.outcome for decision in bench.decisions()}
    assert "matches, but 1 of its instances were rejected: Rejected for Quality Reasons" in outcomes


def test_a_selection_of_interest_rejects_nothing(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    bench.work()
    bench.receive(dcmread(rejection_of(files, tmp_path / "note.dcm", "113000")), "QC")
    assert [row.state for row in bench.enhancements()] == ["done"]


@pytest.mark.parametrize(("calling", "believed"), [("CT1", True), ("PACS", True), ("SOMEBODY", False)])
def test_who_should_know_says_that_instances_are_gone(
    bench: FlowBench, files: list[Path], calling: str, believed: bool
) -> None:
    """Its sender, or a destination; that somebody else cannot give them away says nothing."""
    bench.work()
    series = listed(files)
    notify(bench, series, next(iter(series.values()))[:1], calling)
    assert [row.state for row in bench.enhancements()] == ["outdated" if believed else "done"]
    said = f"{calling} says that 1 instances of its source are no longer available"
    assert outdatings(bench) == ([("113001", said)] if believed else [])


def test_a_full_listing_from_the_sender_completes_a_series(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node")
    bench.receive_files(files[:2])
    notify(bench, listed(files), [], "CT1")
    (series,) = bench.series()
    assert "listed" not in series.due_reason
    bench.receive_files(files[2:])
    (series,) = bench.series()
    assert series.due_reason == "all 3 instances listed by the instance availability notification have arrived"
    assert series.due_at == series.last_arrival_at


def test_a_sent_delivery_stays_sent(bench: FlowBench, files: list[Path]) -> None:
    """What is out is out: a destination that wants one is told by a rejection note."""
    bench.work()
    with bench.flow.database.write() as session:
        session.execute(update(DeliveryItem).values(state="sent", attempts=1))
        for delivery in bench.deliveries():
            session.merge(delivery).state = "sent"
    contradict(bench, files[0])
    assert {delivery.state for delivery in bench.deliveries()} == {"sent"}
