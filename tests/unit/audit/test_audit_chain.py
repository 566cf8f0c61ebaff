"""The audit log: sealed in order, and any later change named by the first link that does not hold."""

from pathlib import Path

import pytest

from dicomnode.audit import chain
from dicomnode.audit.events import record
from dicomnode.db import migrate
from dicomnode.db.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/audit.db")
    migrate.upgrade(database)
    with database.write() as session:
        for number in range(10):
            record(session, "node.started", f"event {number}", node="n", detail={"number": number, "text": "ü"})
    return database


def tamper(database: Database, statement: str) -> None:
    """Change the tables behind the program's back, constraints or not."""
    with database.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute(statement)
        raw.execute("PRAGMA foreign_keys=ON")


def test_an_untouched_log_holds(database: Database) -> None:
    assert chain.verify(database) == chain.Verification(ok=True, first_bad=None, sealed=10)
    assert chain.verify(database) == chain.Verification(ok=True, first_bad=None, sealed=0)


def test_events_that_come_later_are_sealed_behind_the_others(database: Database) -> None:
    assert chain.seal(database) == 10
    with database.write() as session:
        record(session, "node.stopped", "eleven", node="n")
    assert chain.seal(database) == 1
    with database.read() as session:
        assert chain.length(session) == 11
    assert chain.verify(database).ok


@pytest.mark.parametrize(
    ("statement", "first_bad", "reason"),
    [
        ("UPDATE audit_event SET message = 'nothing happened' WHERE id = 4", 4, "does not match"),
        ("UPDATE audit_event SET detail = '{\"number\": 99}' WHERE id = 7", 7, "does not match"),
        ("UPDATE audit_event SET at = '2020-01-01 00:00:00.000000' WHERE id = 1", 1, "does not match"),
        ("UPDATE audit_chain SET hash = 'x' || substr(hash, 2) WHERE seq = 5", 5, "does not match"),
        ("DELETE FROM audit_chain WHERE seq = 6", 6, "missing"),
        ("UPDATE audit_chain SET event_id = 99 WHERE seq = 3", 3, "deleted"),
    ],
)
def test_a_change_behind_the_seal_is_found(database: Database, statement: str, first_bad: int, reason: str) -> None:
    chain.seal(database)
    tamper(database, statement)
    found = chain.verify(database)
    assert (found.ok, found.first_bad) == (False, first_bad)
    assert reason in found.reason


def test_an_event_exists_exactly_when_its_change_does(database: Database) -> None:
    def change_and_fail() -> None:
        with database.write() as session:
            record(session, "node.started", "never", node="n")
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    assert chain.verify(database).sealed == 10


def test_a_kind_that_nobody_described_is_refused(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as session:
        record(session, "node.exploded", "?", node="n")
