"""Rejection notes of outdated derived series: to those that have it and want to hear of it, once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select, update
from support.flowbench import FlowBench
from support.rejections import SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.complete.manifest import listed_in, titles_of
from dicomnode.db.models import AuditEvent, Delivery, DeliveryItem, Outdating, Output
from dicomnode.db.repositories import deliveries, delivery_claims, holds
from dicomnode.db.repositories.deliveries import Answer
from dicomnode.desk.deliveries import retry
from dicomnode.desk.person import Person
from dicomnode.flow.outdated.rejecting import NOTES, note_outdated
from dicomnode.store.doctor import Doctor

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

SITE = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs, archive, ward]
"""
DESTINATIONS = """
destinations:
  - {name: pacs, kind: dimse, ae_title: PACS, host: 127.0.0.1, port: 104, rejection_notes: true}
  - {name: archive, kind: dimse, ae_title: ARCHIVE, host: 127.0.0.1, port: 105}
  - {name: ward, kind: dimse, ae_title: WARD, host: 127.0.0.1, port: 106, rejection_notes: true}
rules:
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 3, rows=32)


@pytest.fixture
def bench(tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> FlowBench:
    """A derived series that `pacs` and `archive` have, and `ward` has nothing of."""
    monkeypatch.setattr("support.flowbench._SITE", DESTINATIONS)
    bench = FlowBench(tmp_path / "node", SITE)
    bench.receive_files(files)
    bench.complete()
    bench.work()
    bench.have_all_but("ward")
    return bench


def reject(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    bench.receive(dcmread(rejection_of(files[:1], tmp_path / "note.dcm", SAFETY)), "QC")


def notes(bench: FlowBench) -> list[Output]:
    with bench.flow.database.read() as session:
        return list(session.scalars(select(Output).where(Output.source_sop_uid == "")))


def test_whoever_has_it_and_wants_it_gets_the_note(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    derived = [output for output in bench.outputs() if output.source_sop_uid]
    series_uid = str(bench.read(derived[0]).SeriesInstanceUID)
    reject(bench, files, tmp_path)
    assert note_outdated(bench.flow) is False
    (note,) = notes(bench)
    document = bench.read(note)
    assert titles_of(document) == {SAFETY}, "as the source was rejected"
    assert listed_in(document) == {series_uid: {output.sop_uid for output in derived}}
    (planned,) = [row for row in bench.deliveries() if row.subject.startswith("rejection:")]
    assert (planned.destination, planned.state) == ("pacs", "pending")
    (item,) = [item for item in bench.items() if item.delivery_id == planned.id]
    assert (item.sop_uid, item.container) == (note.sop_uid, note.container)
    assert bench.events().count("rejection.noted") == 1
    with bench.flow.database.read() as session:
        (outdating,) = session.scalars(select(Outdating))
    assert (outdating.note_uid, outdating.note_due_at) == (note.sop_uid, None)


def test_it_is_written_once(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    reject(bench, files, tmp_path)
    for _ in range(3):
        note_outdated(bench.flow)
    assert len(notes(bench)) == len(list((bench.flow.root / NOTES).iterdir())) == 1


def test_what_a_killed_attempt_left_is_swept(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    reject(bench, files, tmp_path)
    (work,) = bench.enhancements()
    stale = bench.flow.root / NOTES / f"{work.id}-0000.tar"
    stale.parent.mkdir()
    stale.write_bytes(b"torn")
    note_outdated(bench.flow)
    assert not stale.exists()
    assert len(notes(bench)) == 1


def test_its_bytes_are_looked_after_like_those_of_outputs(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    reject(bench, files, tmp_path)
    note_outdated(bench.flow)
    doctor = Doctor(bench.flow.root, bench.flow.database, "n", running=False, deep=True)
    assert list(doctor.look()) == []
    (note,) = notes(bench)
    (bench.flow.root / note.container).unlink()
    assert [trouble.kind for trouble in doctor.look()] == ["missing"]


def test_who_does_not_want_it_is_told_nothing(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    bench.import_site(SITE)  # its destinations are the bench's own: they want none
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).where(Delivery.destination == "pacs").values(destination="elsewhere"))
    reject(bench, files, tmp_path)
    note_outdated(bench.flow)
    assert notes(bench) == []
    with bench.flow.database.read() as session:
        (outdating,) = session.scalars(select(Outdating))
    assert (outdating.note_uid, outdating.note_due_at) == ("", None)


def test_the_stop_switch_lets_notes_go(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    """Who sees ghosts stops enhancing first, and rejects what is out next."""
    with bench.flow.database.write() as session:
        holds.hold(session, holds.ENHANCING, "", "admin", "ghosts")
    reject(bench, files, tmp_path)
    note_outdated(bench.flow)
    with bench.flow.database.write() as session:
        assert delivery_claims.most_urgent(session, "pacs") is not None
        claimed = delivery_claims.take(session, "pacs", "n", 30.0)
    assert claimed is not None
    assert not claimed.is_derived, "or it would be given back at once"
    assert [row.subject for row in bench.deliveries() if row.state == "sending"] == ["rejection:1"]


def test_a_delivery_in_hand_is_known_for_a_derived_series(bench: FlowBench) -> None:
    with bench.flow.database.write() as session:
        claimed = delivery_claims.take(session, "ward", "n", 30.0)
    assert claimed is not None
    assert claimed.is_derived


def first_on_the_wire(bench: FlowBench, destination: str) -> Answer:
    """A sender has the delivery in hand; its first instance is not answered yet. Returns the answer that will come."""
    with bench.flow.database.write() as session:
        claimed = delivery_claims.take(session, destination, "n", 30.0)
        assert claimed is not None
        (first, *_) = deliveries.open_items(session, claimed.id)
    return Answer(first.id, first.sop_uid, "sent", 0, "stored", 1)


def decide_now(bench: FlowBench) -> None:
    """The last answers have been waited for long enough."""
    with bench.flow.database.write() as session:
        session.execute(update(Outdating).values(note_due_at=datetime.now(UTC) - timedelta(seconds=1)))
    note_outdated(bench.flow)


def told(bench: FlowBench) -> list[str]:
    return [row.destination for row in bench.deliveries() if row.subject.startswith("rejection:")]


def test_who_answers_late_gets_the_note_too(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    """The first instance was on the wire for longer than is waited for: that it arrived was not known until then."""
    answer = first_on_the_wire(bench, "ward")
    reject(bench, files, tmp_path)
    decide_now(bench)
    assert told(bench) == ["pacs"]
    with bench.flow.database.write() as session:
        deliveries.record_answers(session, [answer])
    note_outdated(bench.flow)
    assert told(bench) == ["pacs", "ward"]
    (note,) = notes(bench)
    assert {item.sop_uid for item in bench.items()[-2:]} == {note.sop_uid}
    note_outdated(bench.flow)
    with bench.flow.database.read() as session:
        noted = session.scalars(select(AuditEvent).where(AuditEvent.kind == "rejection.noted").order_by(AuditEvent.id))
        assert [event.detail["destinations"] for event in noted] == [["pacs"], ["ward"]]


def test_a_late_answer_is_enough_for_a_note(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    with bench.flow.database.write() as session:
        session.execute(update(DeliveryItem).values(state="pending", attempts=0))
    answer = first_on_the_wire(bench, "ward")
    reject(bench, files, tmp_path)
    decide_now(bench)
    assert notes(bench) == []
    with bench.flow.database.write() as session:
        deliveries.record_answers(session, [answer])
    note_outdated(bench.flow)
    assert told(bench) == ["ward"]
    assert len(notes(bench)) == 1


def test_what_is_outdated_is_not_sent_again(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    """By an operator, who may retry what was cancelled otherwise; the note itself may be sent again."""
    reject(bench, files, tmp_path)
    note_outdated(bench.flow)
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).where(Delivery.subject.startswith("rejection:")).values(state="cancelled"))
    rows = {(row.destination, row.subject.partition(":")[0]): row.id for row in bench.deliveries()}
    ward, note = rows["ward", "enhancement"], rows["pacs", "rejection"]
    result = retry(bench.flow, Person("ana", ("admin",)), [ward, note])
    assert list(result.done) == [note]
    said = f"delivery {ward} is of a derived series that is outdated, and is not sent again: QC rejected 1 instances"
    assert result.refused[ward].startswith(said)
    assert {row.id: row.state for row in bench.deliveries()}[ward] == "cancelled"
