"""Every model has its migration; upgrading is safe to repeat."""

from pathlib import Path

from dicomnode.db import migrate
from dicomnode.db.database import Database


def test_the_migrations_lead_to_the_models(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new/node.db")
    before, after = migrate.upgrade(database)
    assert before is None
    assert after == migrate.head() == migrate.current(database)
    assert migrate.drift(database) == []
    assert migrate.upgrade(database) == (after, after)
