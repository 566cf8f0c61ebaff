"""`users`: accounts, made and mended on the node's own machine. The first administrator is made here."""

import getpass
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomnode.app import build_flow
from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, print_json, print_table, settings_of, who
from dicomnode.db import migrate
from dicomnode.db.models import Account, WebSession
from dicomnode.desk.accounts import accounts, sessions
from dicomnode.domain.roles import Role
from dicomnode.flow import Flow

app = typer.Typer(help="Accounts of the pages and the API.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Of the account.")]
Roles = Annotated[list[Role], typer.Option("--role", help="Again for each role.")]
StdinOption = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.command("add")
def add(
    name: Name,
    role: Roles,
    config: ConfigOption = None,
    display_name: Annotated[str, typer.Option("--full-name", help="As people call the person.")] = "",
    password_stdin: StdinOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add somebody who comes in by a password."""
    flow = _flow_or_first(config)
    account = accounts.add(flow, who(), name, role, _password(password_stdin), display_name)
    _told(account, f"{account.name} can sign in as {', '.join(account.roles)}", as_json)


@app.command("list")
def listing(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Everybody, disabled accounts too."""
    flow, last = flow_of(config), ""
    rows: list[Mapping[str, Any]] = []
    while found := accounts.listing(flow, last):
        rows += [_row(account) for account in found]
        last = found[-1].folded_name
    if not as_json:
        rows = [{**row, "roles": ", ".join(row["roles"])} for row in rows]
    print_table(rows, as_json, "there is nobody: dicomnode users add NAME --role admin")


@app.command("disable")
def disable(name: Name, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Shut an account: its sessions end, its tokens are dead."""
    _change(config, name, "is disabled", as_json, lambda flow, account: accounts.disable(flow, who(), account.id))


@app.command("enable")
def enable(name: Name, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Open an account again, and take a lock away."""
    _change(config, name, "is enabled", as_json, lambda flow, account: accounts.enable(flow, who(), account.id))


@app.command("roles")
def roles(name: Name, role: Roles, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Give an account these roles instead of those it has."""
    words = f"has the roles {', '.join(role)}"
    _change(config, name, words, as_json, lambda flow, account: accounts.set_roles(flow, who(), account.id, role))


@app.command("password")
def password(
    name: Name, config: ConfigOption = None, password_stdin: StdinOption = False, as_json: JsonOption = False
) -> None:
    """Set a new password: all sessions of the account end, and a lock is gone."""

    def change(flow: Flow, account: Account) -> None:
        accounts.set_password(flow, who(), account.id, _password(password_stdin))

    _change(config, name, "has a new password", as_json, change)


@app.command("sessions")
def signed_in(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Who is signed in, and from where."""
    print_table([_session(row, name) for row, name in sessions.everybodys(flow_of(config))], as_json, "nobody")


@app.command("end-session")
def end_session(
    name: Name,
    session: Annotated[str, typer.Argument(help="As `users sessions` shows it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign somebody out somewhere."""
    words = "is signed out there"
    _change(config, name, words, as_json, lambda flow, account: sessions.end(flow, who(), account.id, session))


def _flow_or_first(config: Path | None) -> Flow:
    """The flow; a node that never ran has no tables yet, and needs its first administrator before it may."""
    flow = build_flow(settings_of(config))
    if migrate.current(flow.database) is None:
        migrate.upgrade(flow.database)
    return flow_of(config)


def _change(config: Path | None, name: str, words: str, as_json: bool, change: Callable[[Flow, Account], None]) -> None:
    flow = flow_of(config)
    account = accounts.named(flow, name)
    change(flow, account)
    _told(accounts.of_id(flow, account.id), f"{account.name} {words}", as_json)


def _told(account: Account, words: str, as_json: bool) -> None:
    if as_json:
        print_json(_row(account))
    else:
        print(words)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not _is_terminal():
        fail("there is no terminal to ask for the password at: give it with --password-stdin")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        fail("the password is not the same twice")
    return first


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _row(account: Account) -> Mapping[str, Any]:
    return {
        "name": account.name,
        "full_name": account.display_name,
        "roles": account.roles,
        "comes_in_by": account.issuer or "password",
        "signed_in_at": account.signed_in_at,
        "disabled_at": account.disabled_at,
        "locked_until": account.locked_until,
    }


def _session(row: WebSession, name: str) -> Mapping[str, Any]:
    return {
        "name": name,
        "session": row.secret_sha256[:16],
        "signed_in_at": row.created_at,
        "seen_at": row.seen_at,
        "over_at": row.ends_at,
        "address": row.peer,
        "browser": row.browser,
    }
