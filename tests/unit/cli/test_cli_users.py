"""`users` as it is typed, before the node ever ran and after; and why `serve` stays shut without an administrator."""

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from support.webapp import session_of
from typer.testing import CliRunner

from dicomnode.app import CannotStart, Node, build_flow
from dicomnode.cli import app, users
from dicomnode.cli.common import CommandFailed
from dicomnode.db.models import AuditEvent
from dicomnode.desk.accounts import accounts, passwords, sessions
from dicomnode.desk.refused import Refused
from dicomnode.settings import load_settings

GOOD = "correct horse battery"
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `users ... --json` in a folder with nothing but settings: its document, or the sentence it fails with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    (tmp_path / "dicomnode.toml").write_text('[database]\nurl = "sqlite:///node.db"\n[web]\nhost = "0.0.0.0"\n')

    def invoke(*arguments: str, typed: str = "") -> Any:
        result = CliRunner().invoke(app, ["users", *arguments, "--json"], input=typed)
        if isinstance(result.exception, CommandFailed | Refused):
            return str(result.exception)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return invoke


def add(run: Run, name: str, *roles: str, typed: str = GOOD) -> Any:
    options = [word for role in roles for word in ("--role", role)]
    return run("add", name, *options, "--password-stdin", typed=f"{typed}\n")


def test_the_first_administrator_is_made_before_the_node_ever_ran(run: Run) -> None:
    assert "db upgrade" in run("list"), "nobody asks for users of a node that is not there"
    made = add(run, "anna", "admin", "auditor")
    assert (made["name"], made["roles"]) == ("anna", ["admin", "auditor"])
    assert "at least 12" in add(run, "bob", "viewer", typed="short")
    assert "already" in add(run, "ANNA", "viewer")
    assert [each["name"] for each in run("list")] == ["anna"]


def test_accounts_are_mended_at_the_machine(run: Run, tmp_path: Path) -> None:
    add(run, "anna", "admin")
    add(run, "bob", "viewer")
    assert "last administrator" in run("disable", "anna")
    assert "no account carol" in run("enable", "carol")
    assert run("roles", "bob", "--role", "operator", "--role", "viewer")["roles"] == ["viewer", "operator"]
    assert run("disable", "BOB")["disabled_at"] is not None
    assert run("enable", "bob")["disabled_at"] is None
    assert run("password", "bob", "--password-stdin", typed="another good one\r\n")["name"] == "bob"
    flow = build_flow(load_settings(tmp_path / "dicomnode.toml"))
    assert passwords.matches(accounts.named(flow, "bob").password_hash, "another good one")
    secret = session_of(flow, accounts.named(flow, "bob"))
    listed = run("sessions")
    assert [each["name"] for each in listed] == ["bob"]
    run("end-session", "bob", listed[0]["session"])
    assert sessions.person_of(flow, secret) is None
    with flow.database.read() as session:
        actors = {row.actor for row in session.query(AuditEvent).filter(AuditEvent.kind.startswith("account."))}
    assert len(actors) == 1
    assert actors.pop().endswith("(command line)")


def test_a_password_is_asked_for_twice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--password-stdin" in run("add", "anna", "--role", "admin"), "there is no terminal here"
    answers = iter([GOOD, "something else", GOOD, GOOD])
    monkeypatch.setattr(getpass, "getpass", lambda _: next(answers))
    monkeypatch.setattr(users, "_is_terminal", lambda: True)
    assert "not the same twice" in run("add", "anna", "--role", "admin")
    assert run("add", "anna", "--role", "admin")["name"] == "anna"


def test_beyond_loopback_the_node_starts_with_an_administrator_only(run: Run, tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "dicomnode.toml")
    with pytest.raises(CannotStart, match=r"no administrator yet.*dicomnode users add NAME --role admin"):
        Node(settings, []).start()
    flow = build_flow(settings)
    assert accounts.why_not_open(flow)
    add(run, "bob", "operator")
    assert accounts.why_not_open(flow)
    add(run, "anna", "admin")
    assert accounts.why_not_open(flow) == ""
