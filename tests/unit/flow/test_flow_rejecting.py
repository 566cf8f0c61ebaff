"""Rejection notes of outdated derived series: to those that have it and want to hear of it, once."""

from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select, update
from support.flowbench import FlowBench
from support.rejections import SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.complete.manifest import listed_in, titles_of
from dicomnode.db.models import Delivery, DeliveryItem, Outdating, Output
from dicomnode.flow.rejecting import NOTES, note_outdated
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
    with bench.flow.database.write() as session:
        having = select(Delivery.id).where(Delivery.destination != "ward")
        sent = {"state": "sent", "attempts": 1}
        session.execute(update(DeliveryItem).where(DeliveryItem.delivery_id.in_(having)).values(sent))
        session.execute(update(Delivery).where(Delivery.id.in_(having)).values(state="sent"))
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
