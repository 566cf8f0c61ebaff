"""A node among others: who may enter, who inherits, who must end; whatever happens, somebody reads each container."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, update
from support.databases import new_database, on
from support.postgres import PostgreSQL

from dicomnode.db.clock import Clock
from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, NodeRow
from dicomnode.flow.upkeep.membership import CannotEnter, Membership, Superseded

LEASE = 600.0
"""Longer than any machine stands still: who did not say that it is silent lives."""


def member(database: Database, name: str, boot: str = "b0", store: str = "s") -> Membership:
    return Membership(database, name, boot, store, LEASE)


def silence(database: Database, name: str) -> None:
    with database.write() as session:
        session.execute(update(NodeRow).where(NodeRow.name == name).values(seen_at=Clock(-LEASE - 1)))


def events(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(row.kind, row.node) for row in session.scalars(select(AuditEvent).order_by(AuditEvent.id))]


@pytest.fixture
def shared(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[Database]:
    """A database that takes several nodes."""
    with on(postgresql):
        yield new_database(tmp_path)


@pytest.mark.postgres
def test_a_name_in_use_is_refused(shared: Database) -> None:
    member(shared, "a", "b0").enter(())
    with pytest.raises(CannotEnter, match="a node named a already works on this database"):
        member(shared, "a", "b1").enter(("older",))
    silence(shared, "a")
    member(shared, "a", "b1").enter(())


def test_after_a_kill_the_same_node_enters_at_once(database: Database) -> None:
    first = member(database, "a", "b0")
    first.enter(())
    second = member(database, "a", "b1")
    second.enter(("b0",))
    assert not second.beat()
    with pytest.raises(Superseded, match="under the name a"):
        first.beat()


def test_sqlite_takes_one_node(tmp_path: Path) -> None:
    database = new_database(tmp_path)
    first = member(database, "a")
    first.enter(())
    with pytest.raises(CannotEnter, match=r"node a works on this database.*SQLite takes one node"):
        member(database, "b").enter(())
    with database.write() as session:
        first.leave(session)
    member(database, "b").enter(())
    database.close()


@pytest.mark.postgres
def test_nodes_with_different_stores_are_refused(shared: Database) -> None:
    member(shared, "a", store="here").enter(())
    with pytest.raises(CannotEnter, match="node a works on this database with another store"):
        member(shared, "b", store="there").enter(())
    silence(shared, "a")
    member(shared, "b", store="there").enter(())


@pytest.mark.postgres
def test_what_a_dead_node_left_falls_to_one_and_back_to_it_when_it_lives(shared: Database) -> None:
    first, second, third = (member(shared, name) for name in ("a-1", "b", "c"))
    for each in (first, second, third):
        each.enter(())
    assert first.looks_after("a_1")
    assert not second.looks_after("a_1")
    silence(shared, "a-1")
    assert second.beat()
    assert not second.beat()
    assert not third.beat()
    assert list(second.inherited) == ["a-1"]
    assert (second.looks_after("a_1"), third.looks_after("a_1")) == (True, False)
    assert not first.beat()
    second.beat()
    assert not second.looks_after("a_1")
    assert events(shared) == [("node.taken_over", "b"), ("node.returned", "a-1")]


@pytest.mark.postgres
def test_an_heir_that_dies_leaves_both_estates(shared: Database) -> None:
    for name in ("a", "b", "c"):
        member(shared, name).enter(())
    third = member(shared, "c", "b1")
    third.enter(("b0",))
    silence(shared, "a")
    member(shared, "b", "b1").enter(("b0",))
    silence(shared, "b")
    assert third.beat()
    assert sorted(third.inherited) == ["a", "b"]


def test_what_an_heir_had_not_settled_it_settles_after_its_restart(database: Database) -> None:
    member(database, "a").enter(())
    silence(database, "a")
    first = member(database, "b")
    first.enter(())
    assert list(first.inherited) == ["a"]
    again = member(database, "b", "b1")
    again.enter(("b0",))
    assert list(again.inherited) == ["a"]


def test_containers_of_a_name_that_nobody_bears_are_inherited_too(database: Database) -> None:
    """As of a machine that was renamed."""
    node = member(database, "new")
    node.enter(())
    assert not node.looks_after("old_name")
    assert node.beat()
    assert node.looks_after("old_name")
    assert list(node.inherited) == ["old-name"]
    assert node.looks_after("")


@pytest.mark.postgres
def test_after_an_outage_nobody_is_taken_for_dead_who_had_no_chance_to_beat(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = member(shared, "a"), member(shared, "b")
    first.enter(())
    second.enter(())
    began = time.monotonic()
    for name in ("a", "b"):
        silence(shared, name)
    monkeypatch.setattr(time, "monotonic", lambda: began + LEASE)
    assert not first.beat()
    monkeypatch.setattr(time, "monotonic", lambda: began + LEASE + 1)
    assert not first.beat()
    for later in (0.4, 0.8, 1.1):  # the other one is dead indeed
        monkeypatch.setattr(time, "monotonic", lambda later=later: began + LEASE * (1 + later))
        taken = first.beat()
    assert taken
    assert list(first.inherited) == ["b"]


class Cluster(RuleBasedStateMachine):
    """Nodes start, pause for longer than the lease, go on, are killed, and stop in order, in any order."""

    database: Database
    NAMES = ("a", "b", "c")

    def __init__(self) -> None:
        super().__init__()
        self.running: dict[str, Membership] = {}
        self.paused: dict[str, Membership] = {}
        self.boots = 0
        self.known: set[str] = set()
        self.left: set[str] = set()
        with self.database.write() as session:
            session.query(NodeRow).delete()

    def _keep_alive(self) -> None:
        for each in self.running.values():
            each.beat()

    @precondition(lambda self: len(self.running) + len(self.paused) < 3)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        free = sorted(set(self.NAMES) - self.running.keys() - self.paused.keys())
        name = data.draw(st.sampled_from(free))
        self.boots += 1
        node = member(self.database, name, f"b{self.boots}")
        node.enter([f"b{number}" for number in range(self.boots)])
        self.running[name] = node
        self.known.add(name)
        self.left.discard(name)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=st.sampled_from(["pause", "kill", "stop"]))
    def end(self, data: st.DataObject, how: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        node = self.running.pop(name)
        if how == "stop":
            with self.database.write() as session:
                node.leave(session)
            self.left.add(name)
            return
        silence(self.database, name)
        if how == "pause":
            self.paused[name] = node

    @precondition(lambda self: self.paused)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.paused)))
        node = self.running[name] = self.paused.pop(name)
        node.beat()

    @invariant()
    def every_container_has_one_reader(self) -> None:
        """Of those that run, once each has given a sign of life: the maker itself, or one heir."""
        if not self.running:
            return
        self._keep_alive()
        self._keep_alive()
        for maker in self.known:
            readers = [name for name, node in self.running.items() if node.looks_after(maker)]
            if maker in self.running:
                assert readers == [maker]
            elif maker in self.left:
                assert readers == []
            else:
                assert len(readers) == 1


@pytest.mark.postgres
def test_whatever_happens_somebody_and_only_one_reads_each_container(shared: Database) -> None:
    machine = type("OnPostgreSQL", (Cluster,), {"database": shared})
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=20, deadline=None))
