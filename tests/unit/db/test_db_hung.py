"""PostgreSQL that hangs: every wait ends, and the next unit of work after it wakes up goes on."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from support.postgres import PostgreSQL

from dicomnode.db.database import REST_SECONDS, Database, now
from dicomnode.db.patience import Patience

pytestmark = pytest.mark.postgres

PATIENCE = Patience(connect=2.0, statement=1.0, silent_transaction=60.0)
SOON = 60.0
"""Seconds that tell a bounded wait from one without end, on any machine."""
BUSY = ("did not answer", "statement timeout", "timeout expired")
"""What so little patience makes of a server that is awake on a busy machine; not what a dead connection says."""


class ServersAlone(Patience):
    """What the server itself ends: this side waits for the server's word."""

    @property
    def answer(self) -> float:
        return SOON


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


def go_on(database: Database) -> None:
    """A unit of work with a server that is awake."""
    deadline = time.monotonic() + SOON
    while True:
        try:
            return read(database)
        except OperationalError as error:
            if time.monotonic() > deadline or not any(words in str(error) for words in BUSY):
                raise


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
    go_on(database)
    begin = time.monotonic()
    with pytest.raises(OperationalError, match="did not answer"):
        ask_while_it_hangs(server, database)
    assert time.monotonic() - begin < SOON
    go_on(database)


def test_a_commit_under_way_ends_too(server: PostgreSQL, database: Database) -> None:
    with ExitStack() as hang, pytest.raises(OperationalError, match="did not answer"):
        commit_while_it_hangs(database, hang, server)
    go_on(database)


def test_neither_a_rested_nor_a_new_connection_is_waited_for_without_end(
    server: PostgreSQL, database: Database
) -> None:
    go_on(database)
    time.sleep(REST_SECONDS)  # it is pinged before it is used again
    begin = time.monotonic()
    with server.hung():
        for _ in range(2):
            with pytest.raises(OperationalError):
                read(database)
    assert time.monotonic() - begin < SOON
    go_on(database)


def test_who_waits_for_a_lock_gives_up_in_time(server: PostgreSQL, database: Database) -> None:
    key = text("SELECT pg_advisory_xact_lock(1)")
    patient, waiting = Database(database.url), Database(database.url, ServersAlone(connect=SOON, statement=1.0))
    with patient.write() as holder:
        holder.execute(key)
        with waiting.write() as session, pytest.raises(OperationalError, match="statement timeout"):
            session.execute(key)
    with patient.write() as session:
        session.execute(key)
    waiting.close()
    patient.close()


def test_a_transaction_that_falls_silent_lets_go_of_its_locks(server: PostgreSQL, database: Database) -> None:
    """As that of a process which was stopped in the middle: others must be able to go on."""
    key = text("SELECT pg_advisory_xact_lock(2)")
    taken, done = threading.Event(), threading.Event()
    quiet, patient = Database(database.url, Patience(connect=SOON, silent_transaction=1.0)), Database(database.url)

    def transaction() -> None:
        with quiet.write() as session:
            session.execute(key)
            taken.set()
            done.wait(SOON)
            session.execute(key)

    def hold() -> None:
        while not taken.is_set():  # a busy machine may fall silent before it has the lock
            with pytest.raises(DBAPIError):
                transaction()

    silent = threading.Thread(target=hold)
    silent.start()
    assert taken.wait(SOON)
    with patient.write() as session:
        session.execute(key)
    done.set()
    silent.join()
    quiet.close()
    patient.close()


def test_a_long_answer_is_no_hang(database: Database) -> None:
    """What counts is silence: rows that keep coming may take longer than one statement's patience in all."""
    asking = Database(database.url, Patience(connect=SOON, statement=5.0))
    with asking.read() as session:
        rows = session.execute(
            text("SELECT pg_sleep(0.01), n FROM generate_series(1, 620) n").execution_options(yield_per=10)
        )
        assert [n for _, n in rows] == list(range(1, 621))
    asking.close()
