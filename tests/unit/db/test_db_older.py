"""A database of any older schema, with rows in it, comes to the newest one and loses none of them."""

from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.models import Base, Instance, InstanceVersion, Output, Series
from dicomnode.db.repositories import instances


def fill(database: Database) -> set[str]:
    """One row in each table, as far as their columns go now; their names."""
    with database.write() as session:
        session.execute(text("PRAGMA defer_foreign_keys=ON"))
        inspector = inspect(session.connection())
        tables = [table for table in inspector.get_table_names() if table != "alembic_version"]
        for table in tables:
            columns = inspector.get_columns(table)
            names = ", ".join(f'"{column["name"]}"' for column in columns)
            session.execute(
                text(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(_value(column) for column in columns)})')
            )
    return set(tables)


def _value(column: dict[str, object]) -> str:
    """Every key is 1 or '1', so that references lead somewhere; times are times, documents are empty."""
    kind = str(column["type"]).upper()
    if "DATETIME" in kind:
        return "'2026-01-01 00:00:00.000000'"
    if "JSON" in kind:
        return "'{}'"
    return "'1'" if "TEXT" in kind else "1"


OLDER = [each.revision for each in ScriptDirectory.from_config(migrate._config()).walk_revisions()][1:]


@pytest.mark.parametrize("revision", OLDER)
def test_every_row_of_an_older_schema_is_kept(tmp_path: Path, revision: str) -> None:
    database = Database(f"sqlite:///{tmp_path}/node.db")
    config = migrate._config()
    with database.engine.execution_options(dicomnode_write=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    tables = fill(database)
    assert migrate.upgrade(database) == (revision, migrate.head())
    assert migrate.drift(database) == []
    with database.read() as session:
        for table in tables:
            assert session.scalar(text(f'SELECT count(*) FROM "{table}"')) == 1, table
        assert tables <= set(Base.metadata.tables)
        assert not session.execute(text("PRAGMA foreign_key_check")).all()
        if revision < "0003":  # before that all bytes were kept
            assert {session.scalars(select(model)).one().gone for model in (Instance, InstanceVersion, Output)} == {""}
            series = session.scalars(select(Series)).one()
            assert (series.kept_by, series.purged_at) == ("", None)
            assert instances.count(session, series.uid) == 1
