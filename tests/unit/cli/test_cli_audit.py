"""`audit list|verify|export`: the same filters everywhere, exit 1 on tampering, and an event for each."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from support.tampering import Intruder, anchor, write_events
from typer.testing import CliRunner, Result

from dicomnode.audit.events import record
from dicomnode.cli import app
from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.repositories import audit as audit_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node.toml").write_text('[node]\nname = "n"\n', encoding="utf-8")
    return tmp_path


@pytest.fixture
def database(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder}/var/dicomnode.db")
    migrate.upgrade(database)
    write_events(database, 30)
    anchor(database, folder / "var/audit-anchors", 10, 20, 30)
    return database


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["audit", *words, "--config", str(folder / "node.toml")])


def listed(folder: Path, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(folder, "list", *words, "--json").stdout)
    return found


def test_filters(folder: Path, database: Database) -> None:
    assert [row["id"] for row in listed(folder, "--kind", "node", "--limit", "3")] == [28, 29, 30]
    assert [row["id"] for row in listed(folder, "--subject", "delivery:7")] == [7]
    assert [row["id"] for row in listed(folder, "--until", "2026-03-01T08:03:30+00:00")] == [1, 2, 3]
    assert listed(folder, "--outcome", "failure") == []
    assert len(listed(folder, "--kind", "node", "--study", "1.2", "--actor", "node")) == 30
    refused = run(folder, "list", "--kind", "nonsense")
    assert refused.exit_code == 1
    assert "nonsense" in str(refused.exception)


def test_a_look_into_the_log_is_an_event_once_in_a_while(folder: Path, database: Database) -> None:
    for _ in range(2):
        newest = listed(folder, "--limit", "3")
        assert [row["id"] for row in newest] == [29, 30, 31]
    assert newest[-1]["kind"] == "audit.viewed"
    assert newest[-1]["actor"].endswith("(command line)")


def test_a_log_that_holds(folder: Path, database: Database) -> None:
    answer = run(folder, "verify", "--json")
    assert answer.exit_code == 0
    found = json.loads(answer.stdout)
    assert (found["ok"], found["first_bad"], found["sealed"], found["anchors"]["agreed"]) == (True, None, 0, 30)
    with database.read() as session:
        (event,) = audit_rows.listing(session, limit=9, kind="audit.verified")
    assert event.actor.endswith("(command line)")


def test_tampering_ends_with_1_and_a_range(folder: Path, database: Database) -> None:
    Intruder(database).edits(14)
    Intruder(database).seals_anew_from(14)
    answer = run(folder, "verify")
    assert answer.exit_code == 1
    assert "a link from 11 to 20" in answer.stdout
    found = json.loads(run(folder, "verify", "--json").stdout)
    assert (found["ok"], found["first_bad"], found["until"]) == (False, 11, 20)


def test_an_export_to_a_file(folder: Path, database: Database) -> None:
    with database.write() as session:
        record(session, "node.stopped", "=HYPERLINK(1)", node="n", actor="@somebody")
    out = folder / "audit.csv"
    answer = run(folder, "export", "--format", "csv", "--out", str(out), "--kind", "node.stopped")
    assert answer.exit_code == 0
    with out.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["actor"], row["message"]) == ("'@somebody", "'=HYPERLINK(1)")
    assert len(json.loads(run(folder, "export").stdout)) == 32, "the first export is an event, too"
