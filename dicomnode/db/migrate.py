"""Bring a database to the newest schema. `serve` does it at start; `dicomnode db upgrade` by hand."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from dicomnode.db.database import Database
from dicomnode.db.models import Base

_FOLDER = Path(__file__).parent / "migrations"
_LOCK_KEY = 0x736368656D61  # "schema": PostgreSQL's advisory lock, one node at a time


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def upgrade(database: Database) -> tuple[str | None, str | None]:
    """Apply what is missing, in one transaction where the database can. Returns (schema before, schema after).

    Of nodes that start at once one migrates; the others wait for it, however long it takes.
    """
    config = _config()
    with database.engine.connect() as connection:
        before = MigrationContext.configure(connection).get_current_revision()
    newest = head()
    if before != newest:
        patient = Database(database.url, None)
        try:
            _apply(patient, config)
        finally:
            patient.close()
    return before, newest


def _apply(database: Database, config: Config) -> None:
    with database.engine.execution_options(dicomnode_write=True).begin() as connection:
        if not database.is_sqlite:  # SQLite's BEGIN IMMEDIATE has done as much
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(database: Database) -> str | None:
    """The schema revision the database is at; None for an empty one."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The schema revision of this version of the program."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def drift(database: Database) -> list[str]:
    """Differences between the migrated schema and the models; empty when every change has its migration."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return [str(difference) for difference in compare_metadata(context, Base.metadata)]


def write_revision(database: Database, message: str) -> None:
    """Development: write the migration that brings `database` to the models."""
    config = _config()
    with database.engine.execution_options(dicomnode_write=True).begin() as connection:
        config.attributes["connection"] = connection
        command.revision(config, message, autogenerate=True, rev_id=None)
