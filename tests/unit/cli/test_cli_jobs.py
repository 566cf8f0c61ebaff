"""`jobs` and `enhancing` as they are typed: one job, many, or all that fit; what cannot be done says why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.ledger import NOW, SERIES, with_series, work
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.common import CommandFailed
from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import enhancements
from dicomnode.jobs.work import enter

STATES = ("ready", "ready", "running", "done", "failed", "failed", "withheld", "expired", "cancelled")
"""Of the jobs 1 to 9."""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A ledger with a job of each kind, in the folder where commands look for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dicomnode.toml").write_text('[database]\nurl = "sqlite:///node.db"\n')
    made = Database(f"sqlite:///{tmp_path}/node.db")
    migrate.upgrade(made)
    with with_series(made).write() as session:
        for number, state in enumerate(STATES):
            row = enter(session, work(number), "n", NOW)
            row.state, row.worker = state, "w" if state == "running" else ""
    return made


@pytest.fixture
def run(database: Database) -> Callable[..., Any]:
    """Run a command with --json: its document, or the sentence it fails with."""

    def invoke(*arguments: str, status: int = 0) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        if isinstance(result.exception, CommandFailed):
            return str(result.exception)
        assert result.exit_code == status, result.output
        return json.loads(result.stdout)

    return invoke


def in_state(database: Database, state: str) -> list[int]:
    with database.read() as session:
        return sorted(row.id for row in enhancements.listing(session, 99, state))


def test_all_that_failed_are_tried_again(database: Database, run: Callable[..., Any]) -> None:
    assert run("jobs", "retry", "--all") == {"state": "ready", "count": 2, "jobs": [5, 6], "refused": []}
    assert in_state(database, "ready") == [1, 2, 5, 6]
    with database.read() as session:
        assert len(audit_rows.listing(session, limit=9, kind="enhancement.retried")) == 2


def test_states_that_were_asked_for_are_tried_again(database: Database, run: Callable[..., Any]) -> None:
    assert run("jobs", "retry", "--state", "withheld", "--state", "expired")["jobs"] == [7, 8]
    assert in_state(database, "failed") == [5, 6]


def test_all_of_a_series_and_a_pipeline_are_cancelled(database: Database, run: Callable[..., Any]) -> None:
    assert run("jobs", "cancel", "--pipeline", "another")["count"] == 0
    assert run("jobs", "cancel", "--series", "1.2.4")["count"] == 0
    assert run("jobs", "cancel", "--series", SERIES, "--pipeline", "p", "--state", "ready")["jobs"] == [1, 2]
    assert run("jobs", "cancel", "--pipeline", "p")["jobs"] == [3]
    assert in_state(database, "cancelled") == [1, 2, 3, 9]


def test_of_several_each_that_cannot_be_moved_says_why(database: Database, run: Callable[..., Any]) -> None:
    document = run("jobs", "cancel", "4", "1", "77", "3")
    assert document["jobs"] == [1, 3]
    assert document["refused"] == [
        {"id": 4, "reason": "job 4 is done: it cannot become cancelled"},
        {"id": 77, "reason": "there is no job 77"},
    ]
    assert run("jobs", "cancel", "1", "3", status=1)["count"] == 0


def test_one_job_is_told_in_one_sentence(database: Database, run: Callable[..., Any]) -> None:
    assert run("jobs", "retry", "5")["id"] == 5
    assert run("jobs", "retry", "5") == "job 5 is ready: it cannot become ready"
    assert run("jobs", "retry", "4") == "job 4 is done: it cannot become ready"
    assert run("jobs", "reroute", "1", "--to", "ghost").startswith("there is no pipeline named ghost")


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["1", "--state", "failed"], ["--all", "--pipeline", "p"]])
def test_which_jobs_must_be_said_in_one_way(run: Callable[..., Any], arguments: list[str]) -> None:
    assert run("jobs", "retry", *arguments).startswith("say which jobs: ")


@pytest.mark.parametrize(("verb", "state"), [("retry", "done"), ("cancel", "failed"), ("retry", "nonsense")])
def test_a_state_to_which_it_cannot_be_done_is_refused(run: Callable[..., Any], verb: str, state: str) -> None:
    assert run("jobs", verb, "--state", state).startswith(f"nothing can be done to a job that is {state}")


def test_many_jobs_are_moved_in_several_transactions(
    database: Database, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.desk.bulk.AT_ONCE", 2)
    with database.write() as session:
        for number in range(100, 105):
            enter(session, work(number), "n", NOW)
    assert run("jobs", "cancel", "--state", "ready")["count"] == 7
    assert in_state(database, "ready") == []


def test_what_is_paused_and_stopped_is_said_by_the_list(run: Callable[..., Any]) -> None:
    assert run("jobs", "pause", "--pipeline", "p", "--reason", "service") == {"pipeline": "p", "changed": True}
    assert run("jobs", "pause", "--pipeline", "p")["changed"] is False
    assert run("jobs", "pause", "--pipeline", "pp").startswith("there is no pipeline 'pp'; there are ")
    waits = {row["id"]: row["waits_for"] for row in run("jobs", "list")}
    assert waits[1].startswith("p is paused by ")
    assert waits[1].endswith("(service)")
    assert waits[3] == waits[4] == ""
    assert run("enhancing", "stop", "--reason", "ghosts")["stopped"]
    assert run("enhancing", "show")["reason"] == "ghosts"
    table = CliRunner().invoke(app, ["jobs", "list"]).stdout
    assert "enhancing is stopped by " in table.splitlines()[1]
    assert run("enhancing", "start") == {"stopped": False}
    assert run("jobs", "resume", "--pipeline", "p")["changed"]
    assert {row["id"]: row["waits_for"] for row in run("jobs", "list")}[1] == "a worker"
