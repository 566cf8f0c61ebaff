"""`deliveries` as it is typed: the lists that people read, and asking again."""

import json
from pathlib import Path

import pytest
from support.queuerows import NOW, add_site, delivery, fill, pacs
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.common import CommandFailed, flow_of
from dicomnode.db import migrate
from dicomnode.db.database import Database


@pytest.fixture(autouse=True)
def deliveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 is not asked about any more, 2 still is, 3 is a dead letter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dicomnode.toml").write_text('[database]\nurl = "sqlite:///node.db"\n')
    database = Database(f"sqlite:///{tmp_path}/node.db")
    migrate.upgrade(database)
    given_up = delivery(1, "sent", confirmation="pacs is away", finished_at=NOW)
    fill(database, [], [given_up, delivery(2, "sent", confirm_at=NOW, finished_at=NOW), delivery(3)])
    database.close()
    add_site(flow_of(None), pacs())


def typed(*words: str) -> str:
    ran = CliRunner().invoke(app, list(words))
    if isinstance(ran.exception, CommandFailed):
        return str(ran.exception)
    return ran.stdout


def confirm(*words: str) -> str:
    return typed("deliveries", "confirm", *words)


def test_what_was_given_up_is_asked_about_again() -> None:
    assert json.loads(confirm("--all", "--json"))["deliveries"] == [1]
    assert json.loads(confirm("--all", "--json"))["deliveries"] == []
    assert confirm("--all") == "no delivery fits\n"
    assert confirm("2") == "2 instances will be asked about again\n"


def test_what_cannot_be_asked_about_says_why() -> None:
    assert confirm("3") == "delivery 3 is failed: only of a sent one is it not known whether it is kept"
    assert confirm() == "say which: deliveries by their numbers, or by --destination and --series, or --all of them"


def test_who_looks_at_one_reads_the_way_on() -> None:
    assert typed("deliveries", "show", "1").splitlines()[:3] == [
        "delivery 1 to pacs is sent: 2 sent",
        "  kept? pacs is away",
        "  nobody asks any more: `dicomnode deliveries confirm 1` does",
    ]
    assert "asked again whether it is kept at 2026-05-01" in typed("deliveries", "show", "2")
    assert "`dicomnode deliveries retry 3` sends what is left" in typed("deliveries", "show", "3")
    first, _, third = typed("deliveries", "list").splitlines()[1:]
    assert "2 failed" in first
    assert "pacs is away" in third


@pytest.mark.parametrize("noun", ["jobs", "deliveries", "commitments"])
def test_a_state_that_there_is_not_is_no_empty_list(noun: str) -> None:
    assert "is never 'bogus'; possible are " in typed(noun, "list", "--state", "bogus")
