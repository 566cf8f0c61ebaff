"""PostgreSQL goes away and comes back: units of work go on without a restart of the program."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import OperationalError
from support.postgres import PostgreSQL

from dicomnode.db.database import REST_SECONDS, Database, now
from dicomnode.db.patience import Patience

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server of its own: others go on with theirs."""
    with PostgreSQL() as running:
        yield running


@pytest.fixture
def database(server: PostgreSQL) -> Iterator[Database]:
    database = Database(server.create(migrated=False), Patience(connect=60.0))
    yield database
    database.close()


def use(database: Database, connections: int = 3) -> None:
    """Several units of work at once, so that the pool holds several connections."""
    if connections:
        with database.read() as session:
            now(session)
            use(database, connections - 1)


def test_connections_that_rested_are_asked_first(server: PostgreSQL, database: Database) -> None:
    use(database)
    server.stop()
    server.start()
    time.sleep(REST_SECONDS)
    use(database)


def test_under_load_one_unit_of_work_fails_and_the_next_ones_do_not(server: PostgreSQL, database: Database) -> None:
    use(database)
    server.stop()
    server.start()
    failures = 0
    for _ in range(6):
        try:
            use(database)
        except OperationalError:
            failures += 1
    assert failures <= 1


def test_while_it_is_away_units_of_work_fail_at_once(server: PostgreSQL, database: Database) -> None:
    use(database)
    server.stop()
    try:
        with pytest.raises(OperationalError):
            use(database)
        with pytest.raises(OperationalError):
            use(database)
    finally:
        server.start()
    use(database)
