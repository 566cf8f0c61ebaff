"""An imported model is in the audit log, if there is one yet."""

from pathlib import Path

import pytest

from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.desk.models import note_import
from dicomnode.desk.person import Person
from dicomnode.enhance.card import ModelCard
from dicomnode.enhance.registry import Registry
from dicomnode.settings import DatabaseSettings, NodeSettings, Settings

RITA = Person("rita (command line)", (), "command line")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    database = DatabaseSettings(url=f"sqlite:///{tmp_path}/node.db")
    return Settings(node=NodeSettings(name="n"), database=database)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    """Of a shipped model."""
    return next(entry.card for entry in Registry.load([]) if entry.usable and entry.card is not None)


def test_an_import_is_told_with_who_and_what(settings: Settings, card: ModelCard) -> None:
    database = Database(settings.database.url)
    migrate.upgrade(database)
    note_import(settings, RITA, card)
    with database.read() as session:
        (event,) = audit_rows.listing(session, limit=9, kind="model.imported")
    assert (event.actor, event.subject) == (RITA.name, f"model:{card.model.name}")
    assert event.detail["sha256"] == card.weights.sha256


def test_before_the_first_start_there_is_no_log_and_none_is_made(
    settings: Settings, card: ModelCard, tmp_path: Path
) -> None:
    note_import(settings, RITA, card)
    assert list(tmp_path.iterdir()) == []
