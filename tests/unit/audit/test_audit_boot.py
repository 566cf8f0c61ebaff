"""The node's start tells which settings changed since the last time, and gives no secret away."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from support.databases import sqlite

from dicomnode.audit.boot import note_start, noted
from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent
from dicomnode.settings import DatabaseSettings, DicomSettings, NodeSettings, Settings, StoreSettings
from dicomnode.settings.web import OidcSettings


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return sqlite(tmp_path / "audit.db")


def start(database: Database, settings: Settings) -> None:
    with database.write() as session:
        note_start(session, settings, "listens", "1.0")


def changes(database: Database) -> list[dict[str, object]]:
    with database.read() as session:
        query = select(AuditEvent).where(AuditEvent.kind == "settings.changed").order_by(AuditEvent.id)
        return [event.detail["changes"] for event in session.scalars(query)]


def a_node(name: str = "n", ae_title: str = "ONE", password: str = "secret") -> Settings:
    return Settings(
        node=NodeSettings(name=name),
        dicom=DicomSettings(ae_title=ae_title),
        store=StoreSettings(root=Path("/srv/store")),
        database=DatabaseSettings(url=f"postgresql+psycopg://node:{password}@db/node"),
    )


def test_equal_settings_are_no_change(database: Database) -> None:
    start(database, a_node())
    start(database, a_node())
    assert changes(database) == []


def test_a_change_is_told_with_both_values_and_of_this_node_alone(database: Database) -> None:
    start(database, a_node())
    start(database, a_node("other", ae_title="OTHER"))
    start(database, a_node(ae_title="TWO"))
    assert changes(database) == [{"dicom.ae_title": {"from": "ONE", "to": "TWO"}}]


def test_a_secret_that_changed_shows_and_is_not_told(database: Database) -> None:
    start(database, a_node(password="first-secret"))
    start(database, a_node(password="second-secret"))
    ((name, values),) = changes(database)[0].items()
    assert name == "database.password"
    with database.read() as session:
        text = str([(event.message, event.detail) for event in session.scalars(select(AuditEvent))])
    assert "first-secret" not in text
    assert "second-secret" not in text
    assert isinstance(values, dict)
    assert values["from"] != values["to"]


def test_secrets_of_the_sign_in_are_hashed_too() -> None:
    oidc = OidcSettings(issuer="https://id.example", client_id="node", client_secret=SecretStr("hush"), roles={})
    settings = a_node()
    web = settings.web.model_copy(update={"oidc": oidc})
    found = noted(settings.model_copy(update={"web": web}))
    assert str(found["web.oidc.client_secret"]).startswith("hash ")
    assert "hush" not in str(found)
