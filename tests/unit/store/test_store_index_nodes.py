"""Two nodes' indexes on one database and one store: each instance is taken in once, and none is overlooked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from support.databases import new_database, on
from support.postgres import PostgreSQL
from support.rawfiles import sample

from dicomnode.db.database import Database
from dicomnode.db.models import Association, AuditEvent, Container, Instance, Series, Study
from dicomnode.db.repositories import associations
from dicomnode.domain.instance import Receipt
from dicomnode.enhance.registry import Registry
from dicomnode.flow import Flow, complete_due, take_in
from dicomnode.settings import CompletionSettings, NodeSettings, Settings, StoreSettings
from dicomnode.store import index
from dicomnode.store.index import Indexer
from dicomnode.store.index_arrivals import Arrivals
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import fingerprint

pytestmark = pytest.mark.postgres

SYNTAX = "1.2.840.10008.1.2.1"
COMPLETION = CompletionSettings(quiet_seconds=3600, grace_seconds=0)
AnyCall = Callable[[], Any]


@dataclass
class OneNode:
    """A node's journal, index and flow, without its processes."""

    name: str
    flow: Flow
    journal: Journal
    indexer: Indexer
    looks_after: set[str] = field(default_factory=set)

    clock_behind: timedelta = timedelta()

    def receive(self, series: str, number: int, announced: int = 0, study: str = "1.9") -> None:
        data = data_set(series, number, announced, study)
        self.journal.append(receipt(data, series, number, study, datetime.now(UTC) - self.clock_behind), data)


def data_set(series: str, number: int, announced: int, study: str) -> bytes:
    dataset = Dataset()
    first = dcmread(sample().path)
    for name in ("SOPClassUID", "Modality", "PatientID", "PatientName"):
        setattr(dataset, name, first.get(name))
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"{series}.{number}", series, study
    dataset.InstanceNumber, dataset.AcquisitionNumber, dataset.Rows, dataset.Columns = number, 1, 8, 8
    if announced:
        dataset.ImagesInAcquisition = announced
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def receipt(data: bytes, series: str, number: int, study: str, at: datetime) -> Receipt:
    return Receipt(
        sop_class_uid=sample().sop_class,
        sop_instance_uid=f"{series}.{number}",
        study_uid=study,
        series_uid=series,
        transfer_syntax_uid=SYNTAX,
        length=len(data),
        sha256=fingerprint(data, SYNTAX),
        calling_aet="CT1",
        called_aet="NODE",
        peer="127.0.0.1",
        association="a-1",
        received_at=at.isoformat(timespec="milliseconds"),
    )


def node(name: str, root: Path, database: Database) -> OneNode:
    """Each has a pool of its own, as processes have."""
    settings = Settings(
        node=NodeSettings(name=name), store=StoreSettings(root=root, min_free_gb=0), completion=COMPLETION
    )
    flow = Flow(Database(database.url), settings, Registry.load([root / "none"]))
    looks_after = {name}
    indexer = Indexer(
        root, name, flow.database, partial(take_in, flow), lambda first, second: True,
        looks_after=lambda maker: maker in looks_after,
    )  # fmt: skip
    return OneNode(name, flow, Journal(root, name, "receive0", min_free_gb=0), indexer, looks_after)


@pytest.fixture
def pair(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[OneNode, OneNode]]:
    with on(postgresql), ExitStack() as opened:
        database = new_database(tmp_path)
        both = node("a", tmp_path / "store", database), node("b", tmp_path / "store", database)
        for each in both:
            opened.callback(each.flow.database.close)
            opened.callback(each.journal.close)
        yield both


def at_once(*calls: AnyCall) -> None:
    """All in threads of their own; raises the first error."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(calls))

    def run(call: AnyCall) -> None:
        start.wait(120.0)
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def count(on: OneNode, table: Any) -> int:
    with on.flow.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def series_of(on: OneNode, uid: str) -> Series:
    with on.flow.database.read() as session:
        return session.get_one(Series, uid)


def test_each_reads_its_own(pair: tuple[OneNode, OneNode]) -> None:
    first, second = pair
    first.receive("1.1", 1)
    second.receive("1.2", 1)
    assert (first.indexer.run().instances, second.indexer.run().instances) == (1, 1)
    with first.flow.database.read() as session:
        assert sorted(session.scalars(select(Container.node))) == ["a", "b"]


@pytest.mark.parametrize("batch", [3, 500])
def test_the_same_studies_and_series_come_to_both_at_once(
    pair: tuple[OneNode, OneNode], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Senders are spread over the nodes: rows of the same study, series and even instance are wanted by both."""
    monkeypatch.setattr(index, "BATCH", batch)
    first, second = pair
    for number in range(1, 13):
        for order in (1, -1):
            each = pair[number % 2] if order == 1 else pair[(number + 1) % 2]
            for series in ("1.1", "1.2", "1.3")[::order]:
                each.receive(series, number, study=f"1.9.{int(series[-1]) % 2}")
    at_once(first.indexer.run, second.indexer.run)
    assert (count(first, Study), count(first, Series), count(first, Instance)) == (2, 3, 36)


def test_the_last_announced_image_counts_whichever_node_gets_it(pair: tuple[OneNode, OneNode]) -> None:
    """Neither alone has seen enough of the series; who takes in the last one must know of all."""
    first, second = pair
    for number in range(1, 11):
        pair[number % 2].receive("1.1", number, announced=10)
        pair[number % 2].indexer.run()
    assert "10 images the modality announced" in series_of(first, "1.1").due_reason
    assert complete_due(second.flow) == 1


def test_batches_of_both_at_once_miss_none_of_the_other(pair: tuple[OneNode, OneNode]) -> None:
    for turn in range(8):
        series = f"1.{turn + 1}"
        for number in range(1, 21):
            pair[number % 2].receive(series, number, announced=20)
        at_once(*(each.indexer.run for each in pair))
        assert "20 images the modality announced" in series_of(pair[0], series).due_reason


def test_a_container_that_both_read_is_applied_once(pair: tuple[OneNode, OneNode]) -> None:
    """One was taken for dead and lives after all."""
    first, second = pair
    second.looks_after.add("a")
    for number in range(1, 31):
        first.receive("1.1", number)
        first.journal.note({"event": "connection-dropped", "at": datetime.now(UTC).isoformat(), "peer": "p",
                            "reason": f"r{number}", "more_before": 0})  # fmt: skip
        if number % 6 == 0:
            at_once(first.indexer.run, second.indexer.run)
    at_once(first.indexer.run, second.indexer.run)
    assert count(first, Instance) == 30
    with first.flow.database.read() as session:
        dropped = session.scalars(select(AuditEvent.message).where(AuditEvent.kind == "connection.dropped")).all()
    assert len(dropped) == len(set(dropped)) == 30


def test_what_the_dead_one_had_indexed_is_not_indexed_again(pair: tuple[OneNode, OneNode]) -> None:
    first, second = pair
    second.indexer.run()
    first.receive("1.1", 1)
    first.indexer.run()
    first.receive("1.1", 2)
    second.looks_after.add("a")
    assert second.indexer.run().instances == 1
    assert first.indexer.run().instances == 0


def test_a_commit_whose_answer_was_lost_is_not_repeated(
    pair: tuple[OneNode, OneNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair
    first.receive("1.1", 1)
    real = first.indexer._attempt

    def lose_the_answer(*arguments: Any) -> Any:
        real(*arguments)
        raise ConnectionError

    monkeypatch.setattr(first.indexer, "_attempt", lose_the_answer)
    with pytest.raises(ConnectionError):
        first.indexer.run()
    monkeypatch.undo()
    first.indexer.run()
    with first.flow.database.read() as session:
        assert session.scalars(select(Container.indexed_to)).one() > 0
    assert count(first, Instance) == 1


def test_whoever_completes_a_series_misses_nothing_that_comes_at_that_moment(pair: tuple[OneNode, OneNode]) -> None:
    """It counts after it has locked: an instance is in the generation, or opens the series again, by whatever clock."""
    first, second = pair
    second.clock_behind = timedelta(minutes=5)
    for turn in range(10):
        series = f"1.{turn + 1}"
        first.receive(series, 1)
        first.indexer.run()
        with first.flow.database.write() as session:
            past = datetime.now(UTC) - timedelta(seconds=1)
            session.execute(update(Series).where(Series.uid == series).values(due_at=past, wait_for_aet=""))
        second.receive(series, 2)
        at_once(second.indexer.run, partial(complete_due, first.flow), partial(complete_due, second.flow))
        row = series_of(first, series)
        with first.flow.database.read() as session:
            outside = session.scalar(
                select(func.count()).where(Instance.series_uid == series, Instance.generation.is_(None))
            )
        assert row.generation <= 1
        assert row.state == ("receiving" if outside else "complete")


def test_a_lost_association_gets_its_receivers_own_word_after_all(pair: tuple[OneNode, OneNode]) -> None:
    at = datetime.now(UTC)
    who = {"calling_aet": "CT1", "called_aet": "NODE", "peer": "127.0.0.1"}

    def apply(change: Callable[[Session], Any]) -> Any:
        with pair[0].flow.database.write() as session:
            return change(session)

    apply(lambda session: associations.opened(session, id="x-1", node="a", at=at, **who))
    assert apply(lambda session: associations.open_from(session, "CT1")) == 1
    assert apply(lambda session: associations.close_leftovers(session, "a", at)) == 1
    assert apply(lambda session: associations.open_from(session, "CT1")) == 0
    apply(lambda session: associations.closed(session, "x-1", "released", {"received": 3}, at))
    apply(lambda session: associations.closed(session, "x-1", "aborted", {"received": 0}, at))
    with pair[0].flow.database.read() as session:
        assert session.get_one(Association, "x-1").outcome == "released"


STEPS = st.lists(st.sampled_from(["receive", "a runs", "b runs", "b inherits", "a is back"]), min_size=4, max_size=25)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, size=st.integers(1, 4))
def test_in_whatever_order_both_read_each_instance_is_taken_in_once(
    pair: tuple[OneNode, OneNode], steps: list[str], size: int
) -> None:
    """The dead one may run on when the other has inherited, and the heir when the dead one is back."""
    first, second = pair
    before = count(first, Instance)
    series, received = f"1.5.{before}.{len(steps)}", 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BATCH", size)
        for step in steps:
            match step:
                case "receive":
                    received += 1
                    first.receive(series, before + received)
                case "a runs":
                    first.indexer.run()
                case "b runs":
                    second.indexer.run()
                case "b inherits":
                    second.looks_after.add("a")
                case "a is back":
                    second.looks_after.discard("a")
        first.indexer.run()
    assert count(first, Instance) == before + received
    with first.flow.database.read() as session:
        twice = session.scalar(select(func.count()).where(AuditEvent.kind != "series.complete"))
    assert twice == 0, "nothing was taken for another version of what is there"


def test_a_batch_that_crosses_another_is_tried_again(
    pair: tuple[OneNode, OneNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds its own container's row and wants the other's: PostgreSQL ends one of them, and nobody is told."""
    met, came = threading.Barrier(2), set[int]()

    def cross(session: Session, arrivals: Arrivals) -> None:
        if threading.get_ident() not in came:
            came.add(threading.get_ident())
            met.wait(120.0)
        session.execute(select(Container).with_for_update())

    for number, each in enumerate(pair, start=1):
        each.receive(f"1.{number}", 1, study=f"1.9.{number}")
        monkeypatch.setattr(each.indexer, "_arrived", cross)
    with pair[0].flow.database.write() as session:  # rows that are there: new ones are seen by their maker alone
        for each in pair:
            name = next(name for name, _ in each.indexer._containers.grown())
            session.add(Container(name=name, node=each.name, indexed_to=0))
    at_once(*(each.indexer.run for each in pair))
    assert count(pair[0], Instance) == 2
