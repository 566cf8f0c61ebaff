"""The database: one engine, one unit of work, one clock."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from dicomnode.db.clock import Clock
from dicomnode.db.patience import Patience

BUSY_SECONDS = 30
REST_SECONDS = 1.0
"""A connection that rested for longer is asked whether it still stands, before it is used."""

_SQLITE: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
_POSTGRESQL: dict[str, Any] = {"pool_size": 8, "max_overflow": 24}
"""Loops, senders' lanes and pages each take a connection for the length of a transaction; beyond these they wait."""

_SINCE = "dicomnode_rests_since"
_NOW = select(Clock())


class Database:
    """Hands out units of work. Safe to share between threads; open a new one in every process.

    SQLite runs in WAL mode with FULL sync: a committed transaction survives a power cut. Writers take their lock at
    the start (BEGIN IMMEDIATE), because a transaction that reads first and upgrades later fails at once instead of
    waiting.

    PostgreSQL's writers run at READ COMMITTED: who changes a row according to what was read of it locks it when
    reading (`with_for_update`), or changes it by a condition in the statement. Both are right on SQLite as well.
    """

    def __init__(self, url: str, patience: Patience | None = Patience()) -> None:
        """`patience` bounds every wait for PostgreSQL; None: wait without end, as a migration does."""
        parsed = make_url(url)
        self.url = url
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine = create_engine(url, hide_parameters=True, **_SQLITE if self.is_sqlite else _POSTGRESQL)
        self._writer = self.engine.execution_options(dicomnode_write=True)
        self._reader = self.engine
        if self.is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            if patience is not None:
                _bound(self.engine, patience)
            event.listen(self.engine, "checkin", _rests)
            event.listen(self.engine, "checkout", self._ping_after_rest)
            self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: commits at the end, rolls back on any exception."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; never blocks a writer and is never blocked by one."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        self.engine.dispose()

    def _ping_after_rest(self, connection: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
        """The server may have restarted since. Not before every unit of work: a ping takes as long as a statement."""
        if time.monotonic() - record.info.get(_SINCE, time.monotonic()) < REST_SECONDS:
            return
        try:
            self.engine.dialect.do_ping(connection)
        except Exception as error:  # the driver's own; which one is none of our business
            raise InvalidatePoolError from error


def now(session: Session) -> datetime:
    """The database's clock, in UTC; `Clock` is the same inside a statement."""
    instant: datetime = session.connection().execute(_NOW).scalar_one()
    return instant


def _bound(engine: Engine, patience: Patience) -> None:
    from dicomnode.db.postgresql import bound  # its driver is an extra

    bound(engine, patience)


def _rests(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[_SINCE] = time.monotonic()


def _configure_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the "begin" listener opens transactions, not the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("dicomnode_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
