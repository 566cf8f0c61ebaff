"""A member that cannot be indexed: the others go on, it is told of, kept, and taken in once it is not refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import delete, func, insert, literal, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from support.flowbench import FlowBench

from dicomnode.app import Node
from dicomnode.db.models import Association, AuditEvent, Container, Rejection, SiteRevision
from dicomnode.db.repositories import retention, set_aside, site
from dicomnode.desk.live import Live
from dicomnode.desk.troubles.machine import of_machine
from dicomnode.domain.finding import Finding
from dicomnode.flow import take_in
from dicomnode.flow.upkeep import checkup
from dicomnode.flow.upkeep.checkup import Wanted, check_up
from dicomnode.settings import DatabaseSettings
from dicomnode.store import index
from dicomnode.store.index_arrivals import Arrivals

pytestmark = pytest.mark.usefixtures("each_database")

REFUSED = frozenset({"1.2.3.3"})
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
UNHELD = {"sqlite": "\ud800", "postgresql": "\0"}
"""A text that each of the databases refuses."""


class Idle:
    """What stands where the index will."""

    def run(self) -> None:
        """Nothing is read yet."""


class RefusedBench(FlowBench):
    """Its database refuses the instances in `refuses`, and associations that are called so, until told otherwise."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.refuses = REFUSED
        self.indexer._arrived = self.arrived

    def arrived(self, session: Session, arrivals: Arrivals) -> None:
        take_in(self.flow, session, arrivals)
        came = {new.columns["sop_uid"] for new in arrivals.new} | {each["association"] for each in arrivals.events}
        if came & self.refuses:
            refuse(session)

    def store(self, uid: str) -> None:
        """An instance that no index has read yet."""
        indexer, self.indexer = self.indexer, Idle()
        dataset: Dataset = dcmread(get_testdata_file("CT_small.dcm", download=False))
        dataset.SOPInstanceUID, dataset.SeriesInstanceUID = uid, f"{uid}.1"
        self.receive(dataset)
        self.indexer = indexer

    def open(self, association: str) -> None:
        who = {"association": association, "calling_aet": "CT", "called_aet": "NODE", "peer": "127.0.0.1"}
        self.journal.note({"event": "association-opened", "at": "2026-05-01T10:00:00+00:00", **who})

    def uids(self) -> set[str]:
        return {row.sop_uid for row in self.instances()}

    def associations(self) -> set[str]:
        with self.flow.database.read() as session:
            return set(session.scalars(select(Association.id)))

    def waiting(self) -> list[set_aside.SetAside]:
        with self.flow.database.read() as session:
            return set_aside.waiting(session)

    def told(self, kind: str) -> list[AuditEvent]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(AuditEvent).where(AuditEvent.kind == kind)))

    def findings(self, *, repair: bool = False) -> list[Finding]:
        found = check_up(self.flow, Wanted(running=False, repair=repair))
        return [each for each in found if each.kind.startswith("store.")]


def refuse(session: Session) -> None:
    """Have the database refuse a value, as it really does."""
    session.scalar(select(func.length(literal(UNHELD[session.get_bind().dialect.name]))))


@pytest.fixture
def bench(tmp_path: Path) -> RefusedBench:
    return RefusedBench(tmp_path)


def test_the_others_go_on_and_it_is_told_of(bench: RefusedBench) -> None:
    for number in range(1, 8):
        bench.store(f"1.2.3.{number}")
        bench.open(f"a-{number}")
    bench.refuses = REFUSED | {"a-4"}
    applied = bench.indexer.run()
    assert (applied.members, applied.instances) == (14, 7), "all are done with, as far as senders have to wait"
    assert bench.uids() == {f"1.2.3.{number}" for number in (1, 2, 4, 5, 6, 7)}
    assert bench.associations() == {f"a-{number}" for number in (1, 2, 3, 5, 6, 7)}
    assert sorted(each.what for each in bench.waiting()) == ["event", "instance"]
    told = {event.detail["member"]: event for event in bench.told("store.set_aside")}
    assert told["instance"].series_uid == "1.2.3.3.1"
    assert {event.outcome for event in told.values()} == {"failure"}
    assert all(event.subject == f"container:{e['container']}@{e['offset']}" for event in told.values()
               for e in [event.detail])  # fmt: skip
    assert bench.indexer.run().members == 0, "the index stands behind them"


def test_a_version_that_takes_it_takes_it_in(bench: RefusedBench) -> None:
    bench.store("1.2.3.3")
    bench.open("a-1")
    bench.refuses = REFUSED | {"a-1"}
    bench.indexer.run()
    assert bench.indexer.try_set_aside() == 0
    assert len(bench.told("store.set_aside")) == 2, "told of once, however often it is tried"
    bench.refuses = frozenset()
    assert bench.indexer.try_set_aside() == 2
    assert (bench.uids(), bench.associations(), bench.waiting()) == ({"1.2.3.3"}, {"a-1"}, [])
    assert len(bench.told("store.taken_in")) == 2
    assert bench.indexer.try_set_aside() == 0
    assert len(bench.told("association.opened")) == 1


def test_what_others_there_are_is_not_asked_with_each(bench: RefusedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 4):
        bench.store(f"1.2.3.{number}")
    bench.refuses = frozenset({"1.2.3.1", "1.2.3.2", "1.2.3.3"})
    bench.indexer.run()
    bench.refuses = frozenset()
    asides, asked = bench.waiting(), []
    monkeypatch.setattr(set_aside, "waiting", lambda session: asked.append(1) or asides)
    with bench.flow.database.write() as session:
        assert [set_aside.claim(session, aside) for aside in asides] == [True] * 3
    assert asked == []
    monkeypatch.undo()
    assert bench.indexer.try_set_aside() == 3
    with bench.flow.database.write() as session:
        assert [set_aside.claim(session, aside) for aside in asides] == [False] * 3


def test_the_doctor_shows_it_until_it_is_in_the_index(bench: RefusedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_the_node_does(_: object, session: Session, arrivals: Arrivals) -> None:
        bench.arrived(session, arrivals)

    monkeypatch.setattr(checkup, "take_in", as_the_node_does)
    bench.store("1.2.3.3")
    bench.open("a-1")
    bench.refuses = REFUSED | {"a-1"}
    bench.indexer.run()
    found = bench.findings()
    assert [(each.kind, each.detail["count"], each.repaired) for each in found] == [("store.set_aside", 1, False)] * 2
    assert [(each.kind, each.repaired) for each in bench.findings(repair=True)] == [("store.set_aside", False)] * 2
    bench.refuses = frozenset()
    assert [(each.kind, each.repaired) for each in bench.findings(repair=True)] == [("store.set_aside", True)] * 2
    assert (bench.uids(), bench.associations(), bench.findings()) == ({"1.2.3.3"}, {"a-1"}, [])


def test_today_tells_of_it_until_it_is_taken_in(bench: RefusedBench) -> None:
    def told() -> list[tuple[str, int, str]]:
        with bench.flow.database.read() as session:
            found = of_machine(bench.flow, session, Live(listening=True))
            return [(each.severity, each.count, each.href) for each in found if each.kind == "set_aside"]

    for number in range(1, 4):
        bench.store(f"1.2.3.{number}")
    bench.indexer.run()
    assert told() == [("failure", 1, "/audit?kind=store.set_aside")]
    bench.refuses = frozenset()
    bench.indexer.try_set_aside()
    assert told() == []


def test_retention_leaves_its_bytes_alone(bench: RefusedBench) -> None:
    bench.store("1.2.3.3")
    bench.open("a-1")
    bench.indexer.run()
    (aside,) = bench.waiting()
    with bench.flow.database.read() as session:
        bare = [row.name for row in retention.bare(session)]
        listed = set(session.scalars(select(Container.name)))
    assert listed - set(bare) == {aside.container}


def test_what_the_code_stumbles_over_is_set_aside_without_a_word_of_it(bench: RefusedBench) -> None:
    def stumble(session: Session, arrivals: Arrivals) -> None:
        take_in(bench.flow, session, arrivals)
        if any(new.columns["sop_uid"] in bench.refuses for new in arrivals.new):
            raise RecursionError("of Doe^Jane")

    for number in range(1, 5):
        bench.store(f"1.2.3.{number}")
    bench.indexer._arrived = stumble
    bench.indexer.run()
    assert bench.uids() == {"1.2.3.1", "1.2.3.2", "1.2.3.4"}
    (aside,) = bench.waiting()
    assert aside.reason.startswith("RecursionError at test_store_set_aside.py:")
    assert "Doe" not in str([(event.message, event.detail) for event in bench.told("store.set_aside")])
    bench.refuses = frozenset()
    assert bench.indexer.try_set_aside() == 1


def test_what_fails_whatever_came_is_no_fault_of_what_came(bench: RefusedBench) -> None:
    for number in range(1, 5):
        bench.store(f"1.2.3.{number}")
    with bench.flow.database.write() as session:
        newest = site.newest(session)
        assert newest is not None
        number = site.add(session, {**newest.document, "of_a_newer_version": True}, "newer", "", NOON)
    for _ in range(2):
        with pytest.raises(ValidationError):
            bench.indexer.run()
    assert (bench.waiting(), bench.uids()) == ([], set())
    with bench.flow.database.write() as session:
        session.execute(delete(SiteRevision).where(SiteRevision.number == number))
    bench.indexer.run()
    assert bench.uids() == {"1.2.3.1", "1.2.3.2", "1.2.3.4"}
    assert len(bench.waiting()) == 1, "its own fault still is"


def test_each_hour_tries_again_one_member_at_a_time(bench: RefusedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 4):
        bench.store(f"1.2.3.{number}")
    bench.refuses = frozenset({"1.2.3.1", "1.2.3.2", "1.2.3.3"})
    bench.indexer.run()
    bench.refuses = frozenset({"1.2.3.1"})
    bench.indexer.try_one_set_aside()
    assert bench.uids() == set(), "the hour has not passed"
    monkeypatch.setattr(index, "AGAIN_SECONDS", -1.0)
    bench.indexer.try_one_set_aside()
    assert bench.uids() == set(), "this was the one that is refused still"
    monkeypatch.undo()
    taken = []
    for _ in range(3):
        bench.indexer.try_one_set_aside()
        taken.append(bench.uids())
    assert taken == [{"1.2.3.2"}, {"1.2.3.2", "1.2.3.3"}, {"1.2.3.2", "1.2.3.3"}]


def test_the_loop_of_a_node_does_so(bench: RefusedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.store("1.2.3.3")
    bench.indexer.run()
    database = DatabaseSettings(url=bench.flow.database.url)
    node = Node(bench.flow.settings.model_copy(update={"database": database}), [])
    monkeypatch.setattr(index, "AGAIN_SECONDS", -1.0)
    try:
        node.membership.enter(node._lock.earlier)
        node._index()
    finally:
        node.flow.database.close()
        node.decoder.close()
        node._lock.release()
    assert (bench.uids(), bench.waiting()) == ({"1.2.3.3"}, [])


def test_a_constraint_that_a_member_alone_violates_again_and_again_is_its_own_fault(bench: RefusedBench) -> None:
    def violate(session: Session, arrivals: Arrivals) -> None:
        if any(new.columns["sop_uid"] in bench.refuses for new in arrivals.new):
            session.execute(insert(Rejection), [row, row])

    row = {"source": "1.2", "sop_uid": "1.3", "series_uid": "1.4", "code": "", "calling_aet": "", "noted_at": NOON}
    for number in range(1, 4):
        bench.store(f"1.2.3.{number}")
    bench.indexer._arrived = violate
    bench.indexer.run()
    assert bench.uids() == {"1.2.3.1", "1.2.3.2"}
    assert [aside.reason for aside in bench.waiting()] in (["IntegrityError"], ["UniqueViolation"])
    assert bench.indexer.try_set_aside() == 0
    bench.indexer._arrived = bench.arrived
    bench.refuses = frozenset()
    assert bench.indexer.try_set_aside() == 1


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), MemoryError(), RuntimeError("can't start new thread")]
)
def test_what_a_machine_cannot_do_just_now_sets_nothing_aside(bench: RefusedBench, error: Exception) -> None:
    def fail(session: Session, arrivals: Arrivals) -> None:
        raise error

    bench.store("1.2.3.1")
    bench.indexer._arrived = fail
    with pytest.raises(type(error)):
        bench.indexer.run()
    bench.indexer._arrived = bench.arrived
    assert (bench.waiting(), bench.indexer.run().instances) == ([], 1)


def test_a_database_that_is_away_is_waited_for(bench: RefusedBench) -> None:
    def away(session: Session, arrivals: Arrivals) -> None:
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection unexpectedly"))

    bench.store("1.2.3.3")
    bench.refuses = frozenset()
    bench.indexer._arrived = away
    with pytest.raises(OperationalError):
        bench.indexer.run()
    assert (bench.waiting(), bench.uids()) == ([], set())
    bench.indexer._arrived = bench.arrived
    assert bench.indexer.run().instances == 1
    assert bench.uids() == {"1.2.3.3"}


def test_it_is_written_off_with_its_container_and_back_with_it(bench: RefusedBench) -> None:
    bench.store("1.2.3.3")
    bench.open("a-1")
    bench.indexer.run()
    (aside,) = bench.waiting()
    bench.journal._series.close()
    backup = (bench.flow.root / aside.container).rename(bench.root / "backup.tar")
    assert [(each.kind, each.detail["count"]) for each in bench.findings()] == [("store.lost", 1)]
    assert bench.waiting() == [aside]
    assert {(each.kind, each.repaired) for each in bench.findings(repair=True)} == {
        ("store.lost", True),
        ("store.unnoted", True),
    }
    assert (bench.waiting(), bench.findings()) == ([], [])
    (told,) = bench.told("store.written_off")
    assert (told.actor, told.outcome, told.subject) == ("doctor", "failure", aside.subject)
    backup.rename(bench.flow.root / aside.container)
    assert [(each.kind, each.repaired) for each in bench.findings(repair=True)] == [("store.unknown", True)]
    assert bench.uids() == {"1.2.3.3"}


def test_a_member_whose_container_was_removed_is_written_off(bench: RefusedBench) -> None:
    bench.store("1.2.3.3")
    bench.indexer.run()
    (aside,) = bench.waiting()
    bench.journal._series.close()
    (bench.flow.root / aside.container).unlink()
    with bench.flow.database.write() as session:
        retention.mark_removed(session, [aside.container], NOON)
    assert [(each.kind, each.repaired) for each in bench.findings(repair=True)] == [("store.lost", True)]
    assert (bench.waiting(), bench.findings()) == ([], [])
