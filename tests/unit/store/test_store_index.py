"""The indexer: containers to SQL, idempotently; new, duplicate, variant, correction and conflict told apart."""

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from support.databases import new_database

from dicomnode.audit.events import record
from dicomnode.db.models import Association, AuditEvent, Container, Instance, InstanceVersion, Series
from dicomnode.domain.instance import Receipt
from dicomnode.store.index import Applied, Indexer
from dicomnode.store.index_arrivals import Arrivals
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import fingerprint
from dicomnode.store.versions import differences

pytestmark = pytest.mark.usefixtures("each_database")

Arrive = Callable[[Session, Arrivals], None]


class Bench:
    """A store, a database and an indexer; `arrived` collects what each batch brought."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = new_database(root)
        self.journal = Journal(root, "n", "main", min_free_gb=0)
        self.arrivals: list[Arrivals] = []
        self.compared = 0
        self.same = True
        self.while_compared: Callable[[], None] = lambda: None
        self.indexer = self.new_indexer()

    def new_indexer(self) -> Indexer:
        def same_pixels(first: object, second: object) -> bool:
            self.compared += 1
            self.while_compared()
            return self.same

        return Indexer(
            self.root, "n", self.database, lambda session, arrivals: self.arrivals.append(arrivals), same_pixels
        )

    def receive(self, dataset: Dataset, syntax: str | None = None) -> None:
        syntax = syntax or str(dataset.file_meta.TransferSyntaxUID)
        buffer = BytesIO()
        dataset.file_meta.TransferSyntaxUID = syntax  # type: ignore[assignment]
        dataset.save_as(buffer, enforce_file_format=True)
        whole = buffer.getvalue()
        data_set = whole[144 + int.from_bytes(whole[140:144], "little") :]
        receipt = Receipt(
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            study_uid=str(dataset.StudyInstanceUID),
            series_uid=str(dataset.SeriesInstanceUID),
            transfer_syntax_uid=syntax,
            length=len(data_set),
            sha256=fingerprint(data_set, syntax),
            calling_aet="CT1",
            called_aet="NODE",
            peer="127.0.0.1",
            association="a-1",
            received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        self.journal.append(receipt, data_set)

    def rows(self, model: type) -> list[object]:
        with self.database.read() as session:
            return list(session.scalars(select(model)))

    def events(self) -> list[str]:
        return [row.kind for row in self.rows(AuditEvent) if isinstance(row, AuditEvent)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def ct() -> Dataset:
    return dcmread(get_testdata_file("CT_small.dcm", download=False))


def test_a_new_instance_gets_its_row_study_and_series(bench: Bench) -> None:
    bench.receive(ct())
    assert bench.indexer.run() == Applied(members=1, instances=1)
    (row,) = bench.rows(Instance)
    (series,) = bench.rows(Series)
    assert isinstance(row, Instance)
    assert isinstance(series, Series)
    assert (row.sop_uid, row.is_image, row.calling_aet) == (ct().SOPInstanceUID, True, "CT1")
    assert (series.state, series.modality, series.generation) == ("receiving", "CT", 0)
    assert list(bench.arrivals[0].series) == [series.uid]
    assert bench.indexer.run() == Applied()


def test_containers_read_again_from_the_start_change_nothing(bench: Bench) -> None:
    for number in range(3):
        dataset = ct()
        dataset.SOPInstanceUID = f"1.2.3.{number}"
        bench.receive(dataset)
    bench.indexer.run()
    with bench.database.write() as session:
        session.execute(delete(Container))
    assert bench.new_indexer().run() == Applied(members=3, instances=3)
    assert len(bench.rows(Instance)) == 3
    assert bench.rows(InstanceVersion) == []


def test_the_same_bytes_again_are_a_duplicate_even_in_one_batch(bench: Bench) -> None:
    bench.receive(ct())
    bench.receive(ct())
    bench.indexer.run()
    bench.receive(ct())
    bench.indexer.run()
    assert len(bench.rows(Instance)) == 1
    assert bench.rows(InstanceVersion) == []
    assert bench.compared == 0


def test_the_same_pixels_in_another_encoding_are_a_variant(bench: Bench) -> None:
    bench.receive(ct())
    compressed = ct()
    compressed.compress(JPEG2000Lossless, generate_instance_uid=False)
    bench.receive(compressed)
    bench.indexer.run()
    (version,) = bench.rows(InstanceVersion)
    assert isinstance(version, InstanceVersion)
    assert version.kind == "variant"
    assert bench.arrivals[0].contradicted == {}


def test_changed_demographics_are_a_correction(bench: Bench) -> None:
    bench.receive(ct())
    corrected = ct()
    corrected.PatientID = "RIGHT"
    bench.receive(corrected)
    bench.indexer.run()
    (version,) = bench.rows(InstanceVersion)
    assert isinstance(version, InstanceVersion)
    assert (version.kind, version.differences) == ("correction", ["PatientID"])
    assert list(bench.arrivals[0].contradicted) == [ct().SeriesInstanceUID]


@pytest.mark.parametrize("same_pixels", [True, False])
def test_other_content_is_a_conflict_and_the_first_is_kept(bench: Bench, same_pixels: bool) -> None:
    bench.same = same_pixels
    bench.receive(ct())
    other = ct()
    other.WindowCenter = "12"
    if not same_pixels:
        other = ct()
        other.PixelData = bytes(len(other.PixelData))
    bench.receive(other)
    bench.indexer.run()
    (version,) = bench.rows(InstanceVersion)
    (row,) = bench.rows(Instance)
    assert isinstance(version, InstanceVersion)
    assert isinstance(row, Instance)
    assert version.kind == "conflict"
    assert row.sha256 != version.sha256
    assert "instance.conflict" in bench.events()


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_others_can_write_while_two_instances_are_compared(
    bench: Bench, in_one_batch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> None:
        with bench.database.write() as session:
            record(session, "series.kept", "while two instances are compared", node="n")

    def differing(first: Dataset, second: Dataset) -> list[str]:
        write()
        return differences(first, second)

    bench.while_compared = write
    monkeypatch.setattr("dicomnode.store.index_comparison.differences", differing)
    bench.receive(ct())
    if not in_one_batch:
        bench.indexer.run()
    other = ct()
    other.PixelData = bytes(len(other.PixelData))
    for _ in range(2):
        bench.receive(other)
    bench.indexer.run()
    bench.receive(other)
    bench.indexer.run()
    assert (bench.compared, len(bench.rows(InstanceVersion))) == (1, 1)
    assert bench.events().count("series.kept") == 2, "headers and pixels, once each"


def test_a_late_instance_reopens_its_series_and_says_so(bench: Bench) -> None:
    bench.receive(ct())
    bench.indexer.run()
    with bench.database.write() as session:
        session.scalars(select(Series)).one().state = "complete"
    late = ct()
    late.SOPInstanceUID = "1.2.3.4"
    bench.receive(late)
    bench.indexer.run()
    (series,) = bench.rows(Series)
    assert isinstance(series, Series)
    assert series.state == "receiving"
    assert "series.late" in bench.events()


def test_associations_and_refusals_become_rows_and_events(bench: Bench) -> None:
    who = {"association": "a-1", "calling_aet": "CT1", "called_aet": "NODE", "peer": "127.0.0.1"}
    at = "2026-05-01T10:00:00+00:00"
    bench.journal.note({"event": "association-opened", "at": at, **who})
    bench.journal.note({"event": "instance-refused", "at": at, **who, "status": "C000", "reason": "no data set"})
    counts = {"outcome": "released", "received": 4, "received_bytes": 9, "refused": {"C000": 1}}
    bench.journal.note({"event": "association-closed", "at": at, **who, **counts})
    bench.journal.note({"event": "of a later version", "at": at})
    bench.indexer.run()
    (row,) = bench.rows(Association)
    assert isinstance(row, Association)
    assert (row.outcome, row.counts["received"]) == ("released", 4)
    assert bench.events() == ["association.opened", "instance.refused", "association.closed"]


def test_a_failing_batch_leaves_nothing_and_is_tried_again(bench: Bench) -> None:
    bench.receive(ct())

    def refuse(session: Session, arrivals: Arrivals) -> None:
        raise RuntimeError("the rules cannot be read")

    broken = Indexer(bench.root, "n", bench.database, refuse, lambda first, second: True)
    with pytest.raises(RuntimeError):
        broken.run()
    assert bench.rows(Instance) == []
    assert bench.indexer.run().instances == 1
