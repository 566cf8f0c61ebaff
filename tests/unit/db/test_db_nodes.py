"""Nodes on one database: signs of life, deaths, and one heir for each of the dead."""

import threading

import pytest
from sqlalchemy import update

from dicomnode.db.clock import Clock
from dicomnode.db.database import Database
from dicomnode.db.models import NodeRow
from dicomnode.db.repositories import nodes

LEASE = 600.0
"""Longer than any machine stands still."""


def enter(database: Database, name: str, boot: str = "b") -> None:
    with database.write() as session:
        nodes.add(session, name)
        nodes.enter(session, name, boot, "1", "store")


def silent(database: Database, name: str, seconds: float = LEASE + 1) -> None:
    """It gave no sign of life for so long."""
    with database.write() as session:
        session.execute(update(NodeRow).where(NodeRow.name == name).values(seen_at=Clock(-seconds)))


def names(database: Database, *, living: bool) -> list[str]:
    with database.read() as session:
        return [row.name for row in (nodes.living if living else nodes.dead)(session, LEASE)]


def take(database: Database, name: str, by: str) -> bool:
    with database.write() as session:
        return nodes.take(session, name, by, LEASE)


def test_a_node_lives_while_it_gives_signs_of_life(database: Database) -> None:
    enter(database, "a")
    enter(database, "b")
    silent(database, "a", LEASE / 2)
    silent(database, "b")
    assert (names(database, living=True), names(database, living=False)) == (["a"], ["b"])
    with database.write() as session:
        assert nodes.beat(session, "b", "b") == ""
    assert names(database, living=True) == ["a", "b"]


def test_who_says_goodbye_is_neither_living_nor_dead(database: Database) -> None:
    enter(database, "a")
    with database.write() as session:
        nodes.leave(session, "a", "another boot")
    assert names(database, living=True) == ["a"]
    with database.write() as session:
        nodes.leave(session, "a", "b")
    silent(database, "a")
    assert names(database, living=True) == names(database, living=False) == []
    enter(database, "a", "b2")
    assert names(database, living=True) == ["a"]


def test_a_node_that_was_never_seen_counts_as_dead(database: Database) -> None:
    with database.write() as session:
        assert nodes.add(session, "old")
        assert not nodes.add(session, "old")
    assert names(database, living=False) == ["old"]


def test_only_the_dead_have_heirs_and_one_each(database: Database) -> None:
    for name in ("a", "b", "c"):
        enter(database, name)
    assert not take(database, "a", "b")
    silent(database, "a")
    assert take(database, "a", "b")
    assert not take(database, "a", "c")
    silent(database, "b")
    assert take(database, "a", "c")  # the heir died, too
    assert take(database, "b", "c")


def test_who_comes_back_hears_who_had_taken_over_once(database: Database) -> None:
    enter(database, "a")
    enter(database, "b")
    silent(database, "a")
    assert take(database, "a", "b")
    with database.write() as session:
        assert nodes.beat(session, "a", "b") == "b"
    with database.write() as session:
        assert nodes.beat(session, "a", "b") == ""
    assert not take(database, "a", "b")


def test_a_name_that_went_to_another_life_is_lost(database: Database) -> None:
    enter(database, "a", "first")
    enter(database, "a", "second")
    with database.write() as session:
        assert nodes.beat(session, "a", "first") is None
        assert nodes.beat(session, "unknown", "first") is None


def test_when_many_reach_for_one_estate_one_gets_it(database: Database) -> None:
    heirs = [f"h{number}" for number in range(6)]
    for name in ("dead", *heirs):
        enter(database, name)
    silent(database, "dead")
    start, won = threading.Barrier(len(heirs)), []

    def reach(name: str) -> None:
        start.wait(60.0)
        if take(database, "dead", name):
            won.append(name)

    threads = [threading.Thread(target=reach, args=(name,)) for name in heirs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    with database.read() as session:
        assert [row.taken_by for row in nodes.listing(session) if row.name == "dead"] == won


@pytest.mark.parametrize("seconds", [0.5, 1.0, 29.0])
def test_the_lease_counts_in_fractions_of_seconds(database: Database, seconds: float) -> None:
    enter(database, "a")
    silent(database, "a", seconds)
    with database.read() as session:
        assert nodes.dead(session, seconds * 0.9)
        assert not nodes.dead(session, seconds + LEASE)
