"""Ledgers of the bench's own: a scratch database, rows in it, and the plan by which it finds work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Integer, Text, cast, create_engine, event, insert, literal, select, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement, Series, Study
from dicomnode.db.repositories import enhancements

SERIES_UID = "2.25.1"
DEAD_WORKER = "bench/gone/0"
_PAST = datetime(2020, 1, 1, tzinfo=UTC)


@contextmanager
def scratch(url: URL, name: str) -> Iterator[str]:
    """The URL of a new, migrated database beside the one that `url` names, which is left alone; gone afterwards."""
    own = url.set(database=f"{url.database}_bench_{os.getpid()}_{name}")
    sqlite = url.get_backend_name() == "sqlite"
    if not sqlite:
        _on_server(url, f'CREATE DATABASE "{own.database}"')
    rendered = own.render_as_string(hide_password=False)
    try:
        database = Database(rendered)
        migrate.upgrade(database)
        database.close()
        yield rendered
    finally:
        if sqlite:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{own.database}{suffix}").unlink(missing_ok=True)
        else:
            _on_server(url, f'DROP DATABASE IF EXISTS "{own.database}" WITH (FORCE)')


def _on_server(url: URL, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def fill(database: Database, *, ready: int = 0, lapsed: int = 0, finished: int = 0, name: str = "") -> None:
    """Work of four priorities that waits, work whose worker is gone and whose lease has run out, work that is done.

    `name` tells the work of one filling from that of another.
    """
    with database.write() as session:
        if session.get(Series, SERIES_UID) is None:
            _add_series(session)
        _add(session, "ready", ready, name)
        _add(session, "running", lapsed, name, attempt=1, worker=DEAD_WORKER, lease_until=_PAST)
        _add(session, "done", finished, name, attempt=1, finished_at=_PAST)
    if not database.is_sqlite:  # as its autovacuum does in time; nobody does it for SQLite
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _add_series(session: Session) -> None:
    about = dict.fromkeys(("patient_id", "patient_name", "accession_number", "study_date", "description"), "")
    told = dict.fromkeys(("series_number", "description", "calling_aet", "called_aet"), "")
    session.add(Study(uid="2.25.2", first_seen_at=_PAST, **about))
    session.flush()
    series = Series(uid=SERIES_UID, study_uid="2.25.2", modality="CT", state="complete", last_arrival_at=_PAST, **told)
    session.add(series)
    session.flush()


def _add(session: Session, state: str, count: int, name: str, **columns: Any) -> None:
    """So many rows in one statement: a million of them would take a program minutes."""
    first = select(literal(1, Integer).label("i")).cte("numbers", recursive=True)
    numbers = first.union_all(select(first.c.i + 1).where(first.c.i < count))
    same = {
        "series_uid": SERIES_UID, "generation": 1, "pipeline": "bench", "version": "1", "weights_sha256": "0" * 64,
        "params": {"strength": 1.0}, "writer_profile": {}, "state": state, "attempt": 0, "failures": 0, "worker": "",
        "not_before": _PAST, "stage": "", "verdict": "", "reason": "", "figures": [], "measured": {},
        "created_at": _PAST, **columns,
    }  # fmt: skip
    table = Enhancement.__table__
    values = [literal(value, table.c[name].type) for name, value in same.items()]
    key = literal(f"{name}{state}-", Text).concat(cast(numbers.c.i, Text))
    rows = select(key, numbers.c.i % 4, *values).select_from(numbers).where(numbers.c.i <= count)
    session.execute(insert(Enhancement).from_select(["key", "priority", *same], rows))


def plan(database: Database) -> list[str]:
    """How the database looks for the most urgent work, in its own words."""
    prefix = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "

    def explain(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> tuple[str, Any]:
        return prefix + statement, parameters

    with database.read() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", explain, retval=True)
        rows = connection.execute(enhancements.CLAIMABLE)
        return [str(row[-1]) for row in rows]
