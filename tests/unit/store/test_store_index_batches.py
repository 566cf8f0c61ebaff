"""Batches, containers under watch, trust: whatever the split, SQL ends up as if members were applied one by one."""

import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session
from support.rawfiles import sample

from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.models import Association, AuditEvent, Base, Container, Instance, InstanceVersion, Series, Study
from dicomnode.domain.instance import Location, Receipt
from dicomnode.store import index
from dicomnode.store.container import Container as ContainerFile
from dicomnode.store.index import Indexer
from dicomnode.store.index_arrivals import Arrivals
from dicomnode.store.index_containers import GrowingContainers
from dicomnode.store.index_fields import of_header
from dicomnode.store.index_headers import Headers
from dicomnode.store.members import InstanceMember, members
from dicomnode.store.part10 import fingerprint

SYNTAX = "1.2.840.10008.1.2.1"
BEGAN = datetime(2026, 5, 1, 10, tzinfo=UTC)
TABLES: tuple[type[Base], ...] = (Study, Series, Instance, InstanceVersion, Association, AuditEvent, Container)


@cache
def empty_database() -> bytes:
    """The file of a database with the schema and nothing in it: migrating takes longer than the tests."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/node.db")
        migrate.upgrade(database)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        return (Path(folder) / "node.db").read_bytes()


@cache
def small() -> Dataset:
    dataset = dcmread(sample().path)
    for tag in [element.tag for element in dataset if element.tag.is_private]:
        del dataset[tag]
    dataset.Rows = dataset.Columns = 8
    dataset.PixelData = bytes(128)
    return dataset


@cache
def data_set(uid: str, series: str, content: str) -> bytes:
    """The data set of one instance; `content` says what it brings: itself, other demographics, another window, ..."""
    dataset = small()
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = uid, series
    dataset.StudyInstanceUID = "1.2.9"
    dataset.PatientID = "OTHER" if content == "correction" else "SAME"
    dataset.WindowCenter = "99" if content == "conflict" else "40"
    dataset.LossyImageCompressionRatio = "2" if content == "variant" else "1"
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    whole = buffer.getvalue()
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


def receipt(data: bytes, uid: str, series: str, number: int) -> Receipt:
    return Receipt(
        sop_class_uid=str(small().SOPClassUID),
        sop_instance_uid=uid,
        study_uid="1.2.9",
        series_uid=series,
        transfer_syntax_uid=SYNTAX,
        length=len(data),
        sha256=fingerprint(data, SYNTAX),
        calling_aet=f"CT{number % 3}",
        called_aet="NODE",
        peer="127.0.0.1",
        association=f"a-{number % 2}",
        received_at=(BEGAN + timedelta(seconds=number)).isoformat(timespec="milliseconds"),
    )


@dataclass(frozen=True)
class Step:
    """One member: an instance with this content, or an association's end; `runs`: the indexer runs behind it."""

    uid: str
    series: str
    content: str
    runs: bool


class Store:
    """A store whose containers the test writes itself, without syncs, and a database."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root, self.database = root, database
        (root / "containers").mkdir()
        self.arrivals: list[Arrivals] = []
        self.open: dict[str, ContainerFile] = {}
        self.numbers, self.serials = itertools.count(), itertools.count()

    def indexer(self, **options: Any) -> Indexer:
        def arrived(session: Session, arrivals: Arrivals) -> None:
            self.arrivals.append(arrivals)

        return Indexer(self.root, "n", self.database, arrived, lambda first, second: True, **options)

    def container(self, key: str) -> ContainerFile:
        if key not in self.open:
            self.open[key] = ContainerFile(self.root, f"containers/n-p-b-{next(self.serials):06d}.tar")
        return self.open[key]

    def write(self, step: Step) -> Location | None:
        number = next(self.numbers)
        if step.content == "event":
            at = (BEGAN + timedelta(seconds=number)).isoformat()
            who = {"association": f"a-{number}", "calling_aet": "CT1", "called_aet": "NODE", "peer": "127.0.0.1"}
            self.container("events").note({"event": "association-opened", "at": at, **who})
            return None
        data = data_set(step.uid, step.series, step.content)
        return self.container(step.series).append(receipt(data, step.uid, step.series, number), data)

    def complete_all(self) -> None:
        with self.database.write() as session:
            for series in session.scalars(select(Series)):
                series.state = "complete"

    def read_again(self) -> None:
        """Every container, from its start."""
        with self.database.write() as session:
            for row in session.scalars(select(Container)):
                row.indexed_to = 0
        self.indexer().run()

    def content(self, table: type[Base], *without: str) -> list[tuple[Any, ...]]:
        names = [column.name for column in table.__table__.columns if column.name not in without]
        with self.database.read() as session:
            return [tuple(getattr(row, name) for name in names) for row in session.scalars(select(table))]

    def everything(self) -> dict[str, list[Any]]:
        """All that the index wrote; audit events without their clock and in no order, for containers have none."""
        return {table.__tablename__: sorted(map(repr, self.content(table, "id", "at"))) for table in TABLES}

    def close(self) -> None:
        for container in self.open.values():
            container.close()
        self.database.close()


@contextmanager
def store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "node.db").write_bytes(empty_database())
        opened = Store(Path(folder), Database(f"sqlite:///{folder}/node.db"))
        try:
            yield opened
        finally:
            opened.close()


@pytest.fixture
def bench() -> Iterator[Store]:
    with store() as opened:
        yield opened


STEPS = st.lists(
    st.builds(
        Step,
        uid=st.sampled_from(["1.2.1", "1.2.2", "1.2.3"]),
        series=st.just("1.3.1"),
        content=st.sampled_from(["first", "first", "correction", "conflict", "variant", "event"]),
        runs=st.booleans(),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, size=st.integers(1, 15), trusted=st.booleans())
def test_any_split_into_batches_gives_the_same_rows_as_one_by_one(steps: list[Step], size: int, trusted: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BATCH", 1)
        one_by_one = outcome(steps, every=True, trusted=False)
        patch.setattr(index, "BATCH", size)
        assert outcome(steps, every=False, trusted=trusted) == one_by_one


def outcome(steps: Sequence[Step], *, every: bool, trusted: bool) -> dict[str, list[Any]]:
    with store() as bench:
        indexer = bench.indexer(trusted=lambda name: trusted)
        for step in steps:
            bench.write(step)
            if every or step.runs:
                indexer.run()
        indexer.run()
        found = bench.everything()
        bench.read_again()
        assert bench.everything() | {"audit_event": []} == found | {"audit_event": []}
        return found


def test_a_batch_does_the_same_on_every_database(tmp_path: Path, database: Database) -> None:
    bench = Store(tmp_path, database)
    contents = ("first", "first", "variant", "conflict", "event", "correction", "variant")
    for number, content in enumerate(contents * 3):
        bench.write(Step(f"1.2.{number // 7}", "1.3.1", content, False))
    assert bench.indexer().run().instances == 18
    kinds = [row[0] for row in bench.content(InstanceVersion, *_all_but(InstanceVersion, "kind"))]
    assert sorted(kinds) == ["conflict"] * 3 + ["correction"] * 3 + ["variant"] * 3
    assert len(bench.arrivals) == 1
    assert len(bench.content(Instance)) == len(bench.content(Association)) == 3
    found = bench.everything() | {"audit_event": []}
    bench.read_again()
    assert bench.everything() | {"audit_event": []} == found
    bench.close()


def test_one_batch_takes_members_of_many_containers(bench: Store) -> None:
    for number in range(30):
        bench.write(Step(f"1.2.{number}", f"1.3.{number}", "first", False))
    assert bench.indexer().run().instances == 30
    assert len(bench.arrivals) == 1
    assert sorted(new.row.sop_uid for new in bench.arrivals[0].new) == sorted(f"1.2.{n}" for n in range(30))
    assert len(bench.content(Container)) == 30


def test_a_failure_in_one_batch_keeps_the_batches_before(bench: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        bench.write(Step(f"1.2.{number}", f"1.3.{number % 2}", "first", False))
    monkeypatch.setattr(index, "BATCH", 2)
    calls = itertools.count()

    def fail_third(session: Session, arrivals: Arrivals) -> None:
        if next(calls) == 2:
            raise RuntimeError("the database is away")

    indexer = Indexer(bench.root, "n", bench.database, fail_third, lambda first, second: True)
    applied = index.Applied()
    with pytest.raises(RuntimeError):
        indexer.run(applied)
    assert applied.instances == len(bench.content(Instance)) == 4
    assert indexer.run().instances == 3
    assert len(bench.content(Instance)) == 7


def test_a_late_instance_is_noted_once_for_a_batch(bench: Store) -> None:
    bench.write(Step("1.2.1", "1.3.1", "first", False))
    indexer = bench.indexer()
    indexer.run()
    bench.complete_all()
    for number in range(2, 5):
        bench.write(Step(f"1.2.{number}", "1.3.1", "first", False))
    indexer.run()
    assert [row[0] for row in bench.content(AuditEvent, *_all_but(AuditEvent, "kind"))] == ["series.late"]


def test_bytes_that_changed_are_found_unless_their_writer_lives(bench: Store) -> None:
    places = [bench.write(Step(f"1.2.{number}", "1.3.1", "first", False)) for number in range(2)]
    assert places[1] is not None
    with (bench.root / places[1].container).open("r+b") as file:
        file.seek(places[1].offset + places[1].length - 5)
        file.write(b"!")
    asked: list[str] = []

    def trusted(container: str) -> bool:
        asked.append(container)
        return False

    bench.indexer(trusted=trusted).run()
    assert asked == [places[1].container]
    assert len(bench.content(Instance)) == 1
    assert "instance.damaged" in str(bench.content(AuditEvent))


def test_the_data_sets_of_the_living_are_not_read_again(bench: Store) -> None:
    place = bench.write(Step("1.2.1", "1.3.1", "first", False))
    assert place is not None
    with (bench.root / place.container).open("r+b") as file:
        file.seek(place.offset + place.length - 5)
        file.write(b"!")
    bench.indexer(trusted=lambda container: container == place.container).run()
    assert len(bench.content(Instance)) == 1


def test_a_known_instance_whose_bytes_are_lost_is_contradicted_not_waited_for(bench: Store) -> None:
    bench.write(Step("1.2.1", "1.3.1", "first", False))
    indexer = bench.indexer()
    indexer.run()
    bench.container("1.3.1").close()
    (bench.root / bench.open.pop("1.3.1").name).unlink()
    bench.open["gone"] = ContainerFile(bench.root, "containers/n-p-b-000009.tar")
    data = data_set("1.2.1", "1.3.1", "variant")
    bench.open["gone"].append(receipt(data, "1.2.1", "1.3.1", 5), data)
    indexer.run()
    assert [row[0] for row in bench.content(InstanceVersion, *_all_but(InstanceVersion, "kind"))] == ["conflict"]


@pytest.mark.parametrize("one_batch", [True, False])
def test_the_same_bytes_again_are_no_duplicate_of_bytes_that_were_taken_back(bench: Store, one_batch: bool) -> None:
    """By a writer whose data sync failed; the index may have seen what nobody was answered for."""
    place, indexer = bench.write(Step("1.2.1", "1.3.1", "first", False)), bench.indexer()
    assert place is not None
    indexer.run()
    os.truncate(bench.root / place.container, place.offset - 512)
    bench.open["1.3.1"] = ContainerFile(bench.root, "containers/n-p-b-000009.tar")
    for _ in range(2):
        data = data_set("1.2.1", "1.3.1", "first")
        again = bench.open["1.3.1"].append(receipt(data, "1.2.1", "1.3.1", 5), data)
        if not one_batch:
            indexer.run()
    indexer.run()
    with bench.database.read() as session:
        row = session.scalars(select(Instance)).one()
    assert (row.container, row.fault, row.offset < again.offset) == (bench.open["1.3.1"].name, "", True)


@pytest.mark.parametrize("padding", [0, 60 << 10, 2 << 20])
def test_headers_of_any_length_give_the_same_fields(bench: Store, padding: int) -> None:
    whole = data_set("1.2.1", "1.3.1", "first")
    # (0009,0010) of VR UN in front of all that is indexed behind group 0008.
    cut = whole.index(b"\x10\x00\x10\x00PN")
    filler = b"\x09\x00\x10\x00UN\0\0" + padding.to_bytes(4, "little") + bytes(padding)
    data = whole[:cut] + filler + whole[cut:]
    location = bench.container("a").append(attested := receipt(data, "1.2.1", "1.3.1", 0), data)
    with Headers(bench.root) as headers:
        fields = headers.fields(location, attested)
        assert fields == of_header(headers.header(location))
        assert (fields.patient_id, fields.modality, fields.is_image) == ("SAME", "CT", True)


def test_a_header_is_given_to_whoever_asks(bench: Store) -> None:
    bench.write(Step("1.2.1", "1.3.1", "first", False))
    bench.indexer().run()
    (new,) = bench.arrivals[0].new
    assert new.header.PatientID == "SAME"
    assert (new.row.sop_uid, new.series_uid, new.derived_by_node) == ("1.2.1", "1.3.1", False)


def test_closed_containers_are_not_looked_at_again(bench: Store) -> None:
    for number in range(3):
        bench.write(Step(f"1.2.{number}", f"1.3.{number}", "first", False))
    names = [container.name for container in bench.open.values()]
    watch = GrowingContainers(bench.root)
    assert [name for name, _ in watch.grown()] == names
    ends = {}
    for name, size in watch.grown():
        *_, last = members(bench.root, name)
        ends[name] = last.next_offset
        watch.read(name, size, last.next_offset)
    assert list(watch.grown()) == []
    bench.write(Step("1.2.9", "1.3.1", "first", False))
    assert [name for name, _ in watch.grown()] == [names[1]]
    bench.open.pop("1.3.0").close()
    assert [name for name, _ in watch.grown()] == names[:2]
    watch.read(names[0], 0, ends[names[0]])
    os.truncate(bench.root / names[0], 1)  # nobody will look
    assert [name for name, _ in watch.grown()] == names[1:2]
    bench.write(Step("1.2.7", "1.3.7", "first", False))
    (bench.root / names[1]).unlink()
    assert [name for name, _ in watch.grown()] == [bench.open["1.3.7"].name]


def test_a_store_without_containers_has_nothing_to_read(tmp_path: Path) -> None:
    assert list(GrowingContainers(tmp_path).grown()) == []


def test_a_torn_tail_and_a_missing_mark_keep_a_container_under_watch(bench: Store) -> None:
    bench.write(Step("1.2.1", "1.3.1", "first", False))
    (name,) = (container.name for container in bench.open.values())
    (member,) = members(bench.root, name)
    assert isinstance(member, InstanceMember)
    watch = GrowingContainers(bench.root)
    for tail in (b"", b"\0" * 512, b"\0" * 1023 + b"x", b"\0" * 1536):
        with (bench.root / name).open("r+b") as file:
            file.truncate(member.next_offset)
            file.seek(0, os.SEEK_END)
            file.write(tail)
        assert not watch.is_closed(name, member.next_offset)
    assert watch.is_closed("containers/of-no-file.tar", 0)


def _all_but(table: type[Base], name: str) -> list[str]:
    return [column.name for column in table.__table__.columns if column.name != name]
