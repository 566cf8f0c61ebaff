"""Which database a test's node has: SQLite in its own folder, or PostgreSQL by the fixture `each_database`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.postgres import PostgreSQL

from dicomnode.db import migrate
from dicomnode.db.database import Database

_elsewhere: list[Callable[[], Database]] = []


def new_database(root: Path) -> Database:
    """A migrated, empty database for a node in the folder `root`."""
    if _elsewhere:
        return _elsewhere[-1]()
    database = Database(f"sqlite:///{root}/node.db")
    migrate.upgrade(database)
    return database


@contextmanager
def on(server: PostgreSQL) -> Iterator[None]:
    """Meanwhile every new database is one of this server's; they are gone afterwards."""
    with ExitStack() as made:

        def create() -> Database:
            database = Database(made.enter_context(server.fresh()))
            made.callback(database.close)
            return database

        _elsewhere.append(create)
        try:
            yield
        finally:
            _elsewhere.pop()
