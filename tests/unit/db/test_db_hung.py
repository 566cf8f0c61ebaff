"""PostgreSQL that hangs: every wait ends, and the next unit of work after it wakes up goes on."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from support.postgres import PostgreSQL

from dicomnode.db.database import Database, now
from dicomnode.db.patience import Patience

pytestmark = pytest.mark.postgres

PATIENCE = Patience(connect=5.0, statement=3.0, silent_transaction=3.0)
SOON = 60.0
"""Seconds that tell a bounded wait from one without end, on any machine."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server of its own: others go on with theirs."""
    with PostgreSQL() as running:
        yield running


@pytest.fixture
def database(server: PostgreSQL) -> Iterator[Database]:
    database = Database(server.create(migrated=False), PATIENCE)
    yield database
    database.close()


def read(database: Database) -> None:
    with database.read() as session:
        now(session)


def ask_while_it_hangs(server: PostgreSQL, database: Database) -> None:
    with database.write() as session:
        now(session)
        with server.hung():
            now(session)


def commit_while_it_hangs(database: Database, hang: ExitStack, server: PostgreSQL) -> None:
    with database.write() as session:
        now(session)
        hang.enter_context(server.hung())


def test_a_statement_under_way_ends_when_the_server_hangs(server: PostgreSQL, database: Database) -> None:
    read(database)
    begin = time.monotonic()
    with pytest.raises(OperationalError, match="did not answer"):
        ask_while_it_hangs(server, database)
    assert time.monotonic() - begin < SOON
    read(database)


def test_a_commit_under_way_ends_too(server: PostgreSQL, database: Database) -> None:
    with ExitStack() as hang, pytest.raises(OperationalError, match="did not answer"):
        commit_while_it_hangs(database, hang, server)
    read(database)


def test_neither_a_rested_nor_a_new_connection_is_waited_for_without_end(
    server: PostgreSQL, database: Database
) -> None:
    read(database)
    time.sleep(1.1)  # it is pinged before it is used again
    begin = time.monotonic()
    with server.hung():
        for _ in range(2):
            with pytest.raises(OperationalError):
                read(database)
    assert time.monotonic() - begin < SOON
    read(database)


def test_who_waits_for_a_lock_gives_up_in_time(server: PostgreSQL, database: Database) -> None:
    key = text("SELECT pg_advisory_xact_lock(1)")
    patient = Database(database.url)
    with patient.write() as holder:
        holder.execute(key)
        with database.write() as session, pytest.raises(OperationalError, match="statement timeout"):
            session.execute(key)
    with database.write() as session:
        session.execute(key)
    patient.close()


def test_a_transaction_that_falls_silent_lets_go_of_its_locks(server: PostgreSQL, database: Database) -> None:
    """As that of a process which was stopped in the middle: others must be able to go on."""
    key = text("SELECT pg_advisory_xact_lock(2)")
    taken, done = threading.Event(), threading.Event()

    def transaction() -> None:
        with database.write() as session:
            session.execute(key)
            taken.set()
            done.wait(SOON)
            session.execute(key)

    def hold() -> None:
        with pytest.raises(DBAPIError):
            transaction()

    silent = threading.Thread(target=hold)
    silent.start()
    assert taken.wait(SOON)
    patient = Database(database.url)
    with patient.write() as session:
        session.execute(key)
    done.set()
    silent.join()
    patient.close()


def test_a_long_answer_is_no_hang(database: Database) -> None:
    """What counts is silence: rows that keep coming may take longer than one statement's patience in all."""
    with database.read() as session:
        rows = session.execute(
            text("SELECT pg_sleep(0.02), n FROM generate_series(1, 200) n").execution_options(yield_per=10)
        )
        assert [n for _, n in rows] == list(range(1, 201))
