"""The audit log: sealed in order, and any later change named by the first link that does not hold."""

from pathlib import Path

import pytest
from support.databases import sqlite

from dicomnode.audit import chain
from dicomnode.audit.events import record
from dicomnode.audit.verification import verify
from dicomnode.db.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = sqlite(tmp_path / "audit.db")
    with database.write() as session:
        for number in range(10):
            record(session, "node.started", f"event {number}", node="n", detail={"number": number, "text": "ü"})
    return database


def test_an_untouched_log_holds(database: Database) -> None:
    first, second = verify(database), verify(database)
    assert (first.ok, first.first_bad, first.sealed, first.checked) == (True, None, 10, 10)
    assert (second.ok, second.first_bad, second.sealed, second.checked) == (True, None, 0, 10)


def test_events_that_come_later_are_sealed_behind_the_others(database: Database) -> None:
    assert chain.seal(database) == 10
    with database.write() as session:
        record(session, "node.stopped", "eleven", node="n")
    assert chain.seal(database) == 1
    with database.read() as session:
        assert chain.length(session) == 11
    assert verify(database).ok


def test_an_event_exists_exactly_when_its_change_does(database: Database) -> None:
    def change_and_fail() -> None:
        with database.write() as session:
            record(session, "node.started", "never", node="n")
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    assert verify(database).sealed == 10


def test_a_kind_that_nobody_described_is_refused(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as session:
        record(session, "node.exploded", "?", node="n")
