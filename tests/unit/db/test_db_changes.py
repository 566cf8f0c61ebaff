"""Who waits for work is woken by the commit that brings it."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from dicomnode.db.changes import Changes
from dicomnode.db.database import Database

LONG = 120.0
NEVER = threading.Event()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path}/some%20where#.db")
    with made.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    return made


def commit(database: Database) -> None:
    with sqlite3.connect(str(database.engine.url.database), timeout=LONG) as other:
        other.execute("INSERT INTO t VALUES (1)")
    other.close()


def seconds_of(changes: Changes, stop: threading.Event, most: float) -> float:
    began = time.monotonic()
    changes.wait(stop, most)
    return time.monotonic() - began


def test_a_commit_of_another_connection_ends_the_wait(database: Database) -> None:
    changes = Changes(database)
    later = threading.Timer(0.1, commit, (database,))
    later.start()
    assert seconds_of(changes, NEVER, LONG) < LONG / 2
    later.join()


def test_what_was_committed_between_two_waits_is_not_missed(database: Database) -> None:
    changes = Changes(database)
    commit(database)
    assert seconds_of(changes, NEVER, LONG) < LONG / 2
    commit(database)
    assert seconds_of(changes, NEVER, LONG) < LONG / 2


def test_without_a_commit_it_waits_its_time(database: Database) -> None:
    assert seconds_of(Changes(database), NEVER, 0.2) >= 0.2


def test_it_ends_when_told_to(database: Database) -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    assert seconds_of(Changes(database), stop, LONG) < LONG / 2


def test_a_database_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    changes = Changes(Database(f"sqlite:///{tmp_path}/absent.db"))
    assert seconds_of(changes, NEVER, 0.1) >= 0.1
    with sqlite3.connect(tmp_path / "absent.db") as made:
        made.execute("CREATE TABLE t (x)")
    made.close()
    assert seconds_of(changes, NEVER, LONG) < LONG / 2
    changes.close()


def test_one_in_memory_is_nobody_elses() -> None:
    assert seconds_of(Changes(Database("sqlite://")), NEVER, 0.1) >= 0.1
