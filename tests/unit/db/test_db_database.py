"""Units of work: writers queue up instead of failing, times keep their zone, the clock is the database's."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError

from dicomnode.db import migrate
from dicomnode.db.database import Database, now
from dicomnode.db.models import Container, SiteRevision


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/node.db")
    migrate.upgrade(database)
    return database


def test_many_writers_that_read_first_lose_no_update(database: Database) -> None:
    with database.write() as session:
        session.add(Container(name="c", node="n", indexed_to=0))

    def count_up() -> None:
        for _ in range(20):
            with database.write() as session:
                row = session.get_one(Container, "c")
                row.indexed_to += 1

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.get_one(Container, "c").indexed_to == 80


def test_instants_come_back_in_utc_and_naive_ones_are_refused(database: Database) -> None:
    tokyo = datetime(2026, 5, 1, 9, 0, tzinfo=timezone(timedelta(hours=9)))
    with database.write() as session:
        session.add(SiteRevision(created_at=tokyo, author="a", comment="", document={}))
    with database.read() as session:
        assert session.get_one(SiteRevision, 1).created_at == datetime(2026, 5, 1, 0, 0, tzinfo=UTC)
    with pytest.raises(StatementError, match="without a time zone"), database.write() as session:
        session.add(SiteRevision(created_at=datetime(2026, 5, 1), author="a", comment="", document={}))


def test_the_database_clock_is_utc_now(database: Database) -> None:
    with database.read() as session:
        assert abs(now(session) - datetime.now(UTC)) < timedelta(seconds=2)
