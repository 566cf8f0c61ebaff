"""What all commands share: the options --config and --json, the database, and how results are printed."""

import getpass
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from dicomnode.app import build_flow
from dicomnode.db import migrate
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow
from dicomnode.observe import configure_logging
from dicomnode.settings import Settings, load_settings

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="DICOMNODE_CONFIG", help="Settings file (TOML).", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most this many, the newest.")]


PIPED_WIDTH = 220
"""Columns of a table that goes into a pipe or a file: UIDs stay whole."""


class CommandFailed(Exception):
    """The command cannot do what was asked; the message is the plain sentence."""


def settings_of(config: Path | None) -> Settings:
    """Read the settings and set up logging."""
    settings = load_settings(config)
    configure_logging(settings.log.format, settings.log.level)
    return settings


def flow_of(config: Path | None) -> Flow:
    """The flow over an existing, current database; works with the node up or down."""
    flow = build_flow(settings_of(config))
    if migrate.current(flow.database) != migrate.head():
        raise CommandFailed("the database is not at this version's schema: run `dicomnode db upgrade` or `serve` first")
    return flow


def actor() -> str:
    """Who types: goes into the audit log."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"


def who() -> Person:
    """Who types, as the desk knows people: whoever has the machine may do everything."""
    return Person(actor(), (), "command line")


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """What the desk refuses meanwhile ends the command with the sentence that says why."""
    try:
        yield
    except Refused as refused:
        raise CommandFailed(str(refused)) from refused


def plain(value: Any) -> Any:
    """A value for JSON: instants in ISO 8601 UTC."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return value


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(plain(document), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_table(rows: Sequence[Mapping[str, Any]], as_json: bool, empty: str, columns: Sequence[str] = ()) -> None:
    """Rows as JSON, or as a table of `columns` (all of the first row's by default) for people."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        print(empty)
        return
    names = list(columns or rows[0])
    table = Table(*names, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return str(value).replace("[", r"\[")


def require_state(state: str | None, known: Iterable[str], noun: str) -> None:
    """End with one plain sentence where `state` is asked for, and is none that a `noun` can be in."""
    if state is not None and state not in known:
        fail(f"a {noun} is never {state!r}; possible are {', '.join(sorted(known))}")


def fail(message: str) -> NoReturn:
    """End with one plain sentence."""
    raise CommandFailed(message)
