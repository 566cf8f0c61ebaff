"""Containers that are finished with are unlinked, others never; what comes again after that is stored again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from support.databases import new_database
from support.rawfiles import RawFile, sample

from dicomnode.db.models import AuditEvent, Container, Instance, InstanceVersion, Series
from dicomnode.domain.instance import Location, Receipt
from dicomnode.store.fingerprints import fingerprint_at
from dicomnode.store.hold import taken_over
from dicomnode.store.index import Indexer
from dicomnode.store.index_arrivals import Arrivals
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import fingerprint
from dicomnode.store.retention import remove_containers

pytestmark = pytest.mark.usefixtures("each_database")

NOW = datetime.now(UTC)


class Bench:
    """A store and its index; `now` is when the next instance is received."""

    def __init__(self, root: Path) -> None:
        self.root, self.now = root, NOW - timedelta(days=60)
        self.database = new_database(root)
        self.journal = Journal(root, "n", "main", min_free_gb=0)
        self.arrived: list[str] = []
        self.indexer = self.new_indexer()

    def new_indexer(self) -> Indexer:
        def arrived(session: object, arrivals: Arrivals) -> None:
            self.arrived += [str(new.columns["sop_uid"]) for new in arrivals.new]

        return Indexer(self.root, "n", self.database, arrived, lambda first, second: True)

    def receive(self, file: RawFile, **changed: str) -> Location:
        receipt = file.receipt(received_at=self.now.isoformat(timespec="milliseconds"), **changed)
        place = self.journal.append(receipt, file.data_set)
        self.indexer.run()
        self.arrived.append("|")
        return place

    def close_containers(self) -> None:
        self.journal._series.close()

    def purge(self, *, remove: bool = True) -> None:
        """All that is here is complete, and given up now; its containers go."""
        self.now = NOW
        with self.database.write() as session:
            session.execute(update(Series).values(state="complete", purged_at=NOW))
            session.execute(update(Instance).values(purged_at=NOW))
            session.execute(update(InstanceVersion).values(purged_at=NOW))
        if remove:
            self.close_containers()
            with self.database.read() as session:
                names = dict(session.execute(select(Container.name, Container.indexed_to)).all())
            remove_containers(self.root, names)

    def row(self) -> Instance:
        with self.database.read() as session:
            return session.scalars(select(Instance)).one()

    def series(self) -> Series:
        with self.database.read() as session:
            return session.scalars(select(Series)).one()

    def versions(self) -> list[InstanceVersion]:
        with self.database.read() as session:
            return list(session.scalars(select(InstanceVersion)))

    def events(self) -> list[AuditEvent]:
        with self.database.read() as session:
            return list(session.scalars(select(AuditEvent).order_by(AuditEvent.id)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def file() -> RawFile:
    return sample()


def changed(file: RawFile, old: bytes, new: bytes) -> RawFile:
    assert file.data_set.count(old) >= 1
    return replace(file, data_set=file.data_set.replace(old, new))


def test_a_container_goes_when_it_is_closed_and_indexed(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "main", min_free_gb=0)
    place = journal.append(file.receipt(), file.data_set)
    path = tmp_path / place.container
    end = path.stat().st_size
    assert remove_containers(tmp_path, {place.container: end}).waiting == end, "its journal still writes it"
    journal.close()
    size = path.stat().st_size
    removed = remove_containers(tmp_path, {place.container: 0})
    assert (removed.names, removed.waiting) == ([], size), "the index has not read it"
    assert remove_containers(tmp_path, {place.container: end}, seconds=60).names == [], "it is too young"
    removed = remove_containers(tmp_path, {place.container: end})
    assert (removed.names, removed.freed, removed.waiting) == ([place.container], size, 0)
    assert not path.exists()
    assert remove_containers(tmp_path, {place.container: end}).names == [place.container], "a crash came before"


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Another process that has written an instance, and holds its container."""
    script = (
        "import sys; from pathlib import Path; from support.rawfiles import sample;"
        "from dicomnode.store.journal import Journal; file = sample();"
        "journal = Journal(Path(sys.argv[1]), 'n', 'main', min_free_gb=0);"
        "print(journal.append(file.receipt(), file.data_set).container, flush=True); sys.stdin.read()"
    )
    tests = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=env, **pipes)  # type: ignore[call-overload]
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.mark.faults
def test_a_writer_holds_its_container_until_it_dies(
    tmp_path: Path, writer: tuple["subprocess.Popen[str]", str]
) -> None:
    process, name = writer
    end = (tmp_path / name).stat().st_size
    assert remove_containers(tmp_path, {name: end}).names == []
    process.kill()
    process.wait()
    assert remove_containers(tmp_path, {name: end}).names == [name]


def test_nobody_takes_over_what_is_written(tmp_path: Path, file: RawFile) -> None:
    journal = Journal(tmp_path, "n", "main", min_free_gb=0)
    path = tmp_path / journal.append(file.receipt(), file.data_set).container
    with taken_over(path) as ours:
        assert not ours
    journal.close()
    with taken_over(path) as ours, taken_over(path) as twice:
        assert (ours, twice) == (True, False)


def test_a_purged_instance_that_comes_again_takes_its_row_back(bench: Bench, file: RawFile) -> None:
    bench.receive(file)
    bench.purge()
    place = bench.receive(file, calling_aet="CT2", association="00-2")
    row = bench.row()
    assert (row.gone, row.container, row.offset, row.calling_aet) == ("", place.container, place.offset, "CT2")
    assert (row.generation, row.received_at.replace(microsecond=0)) == (None, NOW.replace(microsecond=0))
    assert bench.arrived == [file.sop_uid, "|", file.sop_uid, "|"]
    assert (bench.series().state, bench.series().purged_at) == ("receiving", None)
    assert [event.kind for event in bench.events()] == ["series.returned", "series.late"]
    bench.receive(file)
    assert bench.arrived[-1:] == ["|"], "the next copy is a duplicate"


def test_containers_that_are_read_again_bring_nothing_purged_back(bench: Bench, file: RawFile) -> None:
    bench.receive(file)
    bench.close_containers()
    bench.receive(file)
    bench.purge(remove=False)
    with bench.database.write() as session:
        session.execute(delete(Container))
    bench.new_indexer().run()
    assert bench.row().gone == "purged"
    assert bench.series().state == "complete"


def test_a_late_instance_of_a_purged_series_makes_it_due_again(bench: Bench, file: RawFile) -> None:
    bench.receive(file)
    bench.purge()
    bench.receive(replace(file, sop_uid="1.2.3.4"), sop_instance_uid="1.2.3.4")
    assert (bench.series().state, bench.series().purged_at) == ("receiving", None)
    with bench.database.read() as session:
        gone = {row.sop_uid: row.gone for row in session.scalars(select(Instance))}
    assert gone == {file.sop_uid: "purged", "1.2.3.4": ""}


def test_other_bytes_after_a_purge_are_kept_with_a_warning(bench: Bench, file: RawFile) -> None:
    bench.receive(file)
    bench.purge()
    other = changed(file, b"CompressedSamples^CT1", b"CompressedSamples^CT9")
    bench.receive(other)
    row = bench.row()
    assert (row.gone, row.sha256) == ("", fingerprint(other.data_set, other.transfer_syntax))
    (event,) = [event for event in bench.events() if event.kind == "instance.returned"]
    assert (event.outcome, event.detail["was"]) == ("warning", "purged")
    assert bench.versions() == []


def test_a_purged_version_that_comes_again_is_stored_again(bench: Bench, file: RawFile) -> None:
    other = changed(file, b"CompressedSamples^CT1", b"CompressedSamples^CT9")
    bench.receive(file)
    bench.receive(other)
    bench.purge()
    bench.receive(file)
    place = bench.receive(other)
    (version,) = bench.versions()
    assert (version.gone, version.container, version.kind) == ("", place.container, "correction")


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_what_was_lost_comes_back_with_the_same_bytes_alone(bench: Bench, file: RawFile, fault: str) -> None:
    bench.receive(file)
    with bench.database.write() as session:
        session.execute(update(Instance).values(fault=fault))
        session.execute(update(Series).values(state="complete"))
    bench.receive(changed(file, b"CompressedSamples^CT1", b"CompressedSamples^CT9"))
    assert bench.row().gone == fault
    assert [version.kind for version in bench.versions()] == ["conflict"]
    bench.receive(file)
    assert bench.row().gone == ""
    (event,) = [event for event in bench.events() if event.kind == "instance.returned"]
    assert (event.outcome, event.detail["was"]) == ("success", fault)


def test_a_fingerprint_is_taken_where_the_bytes_lie(tmp_path: Path, file: RawFile) -> None:
    receipt: Receipt = file.receipt()
    journal = Journal(tmp_path, "n", "main", min_free_gb=0)
    place = journal.append(receipt, file.data_set)
    assert fingerprint_at(tmp_path, place, receipt.transfer_syntax_uid) == receipt.sha256
    with pytest.raises(EOFError, match="ends before byte"):
        fingerprint_at(tmp_path, replace(place, length=place.length + 10_000), None)
