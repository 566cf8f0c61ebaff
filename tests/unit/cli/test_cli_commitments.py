"""`commitments` as it is typed: what was asked of this node and by it, what was said, and saying it again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.ledger import SERIES, with_series
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.common import CommandFailed
from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.models import Commitment, CommitmentReport, Delivery
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import commitment_requests
from dicomnode.db.repositories.commitment_requests import Asked

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
KEPT, LOST = "1.1", "1.2"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """CT1's request was reported, CT2's waits under the same UID; the node asked pacs, which reported a failure."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dicomnode.toml").write_text('[database]\nurl = "sqlite:///node.db"\n')
    made = Database(f"sqlite:///{tmp_path}/node.db")
    migrate.upgrade(made)
    with with_series(made).write() as session:
        for number, title in enumerate(("CT1", "CT2")):
            at = AT + timedelta(hours=number)
            asked = Asked("1.9", title, "DICOMNODE", "127.0.0.1", "a", (("1.5", KEPT), ("1.5", LOST)), at)
            row, _ = commitment_requests.ask(session, asked, 0x0131)
            if title == "CT1":
                row.state, row.due_at, row.failures = "reported", None, {LOST: [0x0112, "it never came"]}
        delivery = Delivery(
            destination="pacs", subject=f"series:{SERIES}", series_uid=SERIES, rule="r", state="sent", not_before=AT,
            created_at=AT,
        )  # fmt: skip
        session.add(delivery)
        session.flush()
        session.add(
            Commitment(
                transaction_uid="1.8", delivery_id=delivery.id, destination="pacs", node="n", state="failed",
                sop_uids=[KEPT, LOST], asked_at=AT - timedelta(hours=1),
            )
        )  # fmt: skip
        session.add(
            CommitmentReport(
                transaction_uid="1.8", calling_aet="PACS", event_type=2, committed=[KEPT], failed=[[LOST, 0x0110]],
                association="b", received_at=AT,
            )
        )  # fmt: skip
    return made


def typed(*arguments: str) -> Any:
    """With --json: the document, or the sentence that the command fails with."""
    result = CliRunner().invoke(app, ["commitments", *arguments, "--json"])
    if isinstance(result.exception, CommandFailed):
        return str(result.exception)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def run(database: Database) -> Callable[..., Any]:
    return typed


def test_all_transactions_the_newest_first(run: Callable[..., Any]) -> None:
    rows = run("list")
    assert [(row["direction"], row["peer"], row["state"], row["failed"]) for row in rows] == [
        ("received", "CT2", "waiting", None),
        ("received", "CT1", "reported", 1),
        ("sent", "pacs", "failed", None),
    ]
    assert [row["peer"] for row in run("list", "--direction", "sent")] == ["pacs"]
    assert [row["peer"] for row in run("list", "--direction", "received", "--state", "waiting")] == ["CT2"]
    assert len(run("list", "--limit", "1")) == 1


def test_what_was_said_of_each_instance(run: Callable[..., Any]) -> None:
    first, second = run("show", "1.9")["transactions"]
    assert [(item["sop_uid"], item["answer"], item["why"]) for item in first["items"]] == [
        (KEPT, "kept", ""),
        (LOST, "0112", "it never came"),
    ]
    assert {item["answer"] for item in second["items"]} == {""}
    shown = run("show", "1.8")
    assert [item["sop_uid"] for item in shown["transactions"][0]["items"]] == [KEPT, LOST]
    assert [(row["committed"], row["failed"]) for row in shown["reports"]] == [(1, {LOST: "0110"})]
    assert run("show", "1.7") == "there is no transaction 1.7"


def test_it_is_shown_to_people_as_well(database: Database) -> None:
    shown = CliRunner().invoke(app, ["commitments", "show", "1.9"])
    assert "it never came" in shown.stdout
    listed = CliRunner().invoke(app, ["commitments", "list"])
    assert listed.stdout.count("received") == 2


def test_an_answer_is_given_again(database: Database, run: Callable[..., Any]) -> None:
    assert run("report", "1.9") == "several modalities used this UID: say which with --from (CT1, CT2)"
    assert run("report", "1.9", "--from", "CT2").startswith("it is waiting")
    assert run("report", "1.9", "--from", "CT1") == {"transaction_uid": "1.9", "state": "judged"}
    with database.read() as session:
        (row,) = commitment_requests.find(session, "1.9", "CT1")
        assert (row.state, row.failures) == ("judged", {LOST: [0x0112, "it never came"]})
        assert row.due_at is not None
        (event,) = audit_rows.listing(session, limit=9, kind="commitment.reopened")
    assert "CT1" in event.message
    assert run("report", "1.6") == "no modality asked for anything as transaction 1.6"
