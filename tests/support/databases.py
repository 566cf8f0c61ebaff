"""Which database a test's node has: SQLite in its own folder, or PostgreSQL by the fixture `each_database`."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from support.postgres import PostgreSQL

from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.patience import Patience

UNHURRIED = Patience(connect=60.0)
"""With a server on a busy machine, which may be longer in answering than one that is away is waited for."""

_elsewhere: list[Callable[[], Database]] = []


def new_database(root: Path) -> Database:
    """A migrated, empty database for a node in the folder `root`."""
    if _elsewhere:
        return _elsewhere[-1]()
    return sqlite(root / "node.db")


def sqlite(file: Path) -> Database:
    """A migrated, empty database in a new file."""
    put_sqlite(file)
    return Database(f"sqlite:///{file}")


def put_sqlite(file: Path) -> None:
    """The same, not opened yet. A copy: a migration takes longer than most tests."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_migrated(), file)


@cache
def _migrated() -> Path:
    """An empty database of this process."""
    folder = Path(tempfile.mkdtemp(prefix="dicomnode-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(f"sqlite:///{folder}/node.db")
    migrate.upgrade(database)
    database.close()
    return folder / "node.db"


@contextmanager
def on(server: PostgreSQL) -> Iterator[None]:
    """Meanwhile every new database is one of this server's; they are gone afterwards."""
    with ExitStack() as made:

        def create() -> Database:
            database = Database(made.enter_context(server.fresh()), UNHURRIED)
            made.callback(database.close)
            return database

        _elsewhere.append(create)
        try:
            yield
        finally:
            _elsewhere.pop()
