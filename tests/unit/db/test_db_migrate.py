"""Every model has its migration; upgrading is safe to repeat."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.db import migrate
from dicomnode.db.database import Database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a table; SQLite's file and folder are not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/node.db"
        return
    with request.getfixturevalue("postgresql").fresh(migrated=False) as url:
        yield url


def test_the_migrations_lead_to_the_models(bare_url: str) -> None:
    database = Database(bare_url)
    before, after = migrate.upgrade(database)
    assert before is None
    assert after == migrate.head() == migrate.current(database)
    assert migrate.drift(database) == []
    assert migrate.upgrade(database) == (after, after)
    database.close()
