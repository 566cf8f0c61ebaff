"""`audit list|verify|export`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomnode.cli.common import (
    ConfigOption,
    JsonOption,
    LimitOption,
    fail,
    flow_of,
    in_a_sentence,
    print_json,
    print_table,
    who,
)
from dicomnode.db.repositories.audit_search import Key
from dicomnode.desk.audit import exporting, searching, verifying
from dicomnode.desk.audit.asked import Asked
from dicomnode.desk.audit.exporting import Format
from dicomnode.flow import Flow

app = typer.Typer(help="The audit log.", no_args_is_help=True)

Kind = Annotated[str, typer.Option(help="Of this kind, or of a group such as delivery.")]
Actor = Annotated[str, typer.Option(help="Who did it, by tokens as well; `node` for what nobody asked for.")]
Outcome = Annotated[str, typer.Option(help="success, warning or failure.")]
Series = Annotated[str, typer.Option(help="About this series.")]
Study = Annotated[str, typer.Option(help="About this study.")]
Subject = Annotated[str, typer.Option(help="About this: delivery:12, destination:pacs, ...")]
Since = Annotated[str, typer.Option(help="A day, or an instant such as 2026-01-31T08:00.")]
Until = Annotated[str, typer.Option(help="A day, which is included, or an instant.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 100,
    kind: Kind = "",
    actor: Actor = "",
    outcome: Outcome = "",
    series: Series = "",
    study: Study = "",
    subject: Subject = "",
    since: Since = "",
    until: Until = "",
    as_json: JsonOption = False,
) -> None:
    """The newest events, in order."""
    flow = flow_of(config)
    with in_a_sentence():
        found = _newest(flow, Asked(since, until, kind, actor, outcome, series, study, subject), limit)
    print_table(found, as_json, "no such event", ("at", "kind", "outcome", "message"))


def _newest(flow: Flow, asked: Asked, limit: int) -> list[dict[str, Any]]:
    person = who()
    found: list[dict[str, Any]] = []
    after: Key | None = None
    while len(found) < limit:
        page = searching.search(flow, person, asked, min(limit - len(found), exporting.BATCH), after)
        found += [entry.document(person) for entry in page.entries]
        if page.next is None:
            break
        after = page.next
    return found[::-1]


@app.command("verify")
def verify(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Seal what is unsealed and check the whole chain and its anchors. Exit 1 on tampering."""
    flow = flow_of(config)
    try:
        result = verifying.verify_now(flow, who())
    except OSError as error:
        fail(f"the anchors cannot be read: {error}")
    if as_json:
        print_json(verifying.document(result))
    else:
        print(verifying.words(result))
        for warning in result.anchors.warnings:
            print(f"  take care: {warning}")
    if not result.ok:
        raise typer.Exit(1)


@app.command("export")
def export(
    config: ConfigOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; stdout without it.")] = None,
    format: Annotated[Format, typer.Option(help="json: one document; csv: for a spreadsheet.")] = Format.JSON,
    kind: Kind = "",
    actor: Actor = "",
    outcome: Outcome = "",
    series: Series = "",
    study: Study = "",
    subject: Subject = "",
    since: Since = "",
    until: Until = "",
    as_json: JsonOption = False,
) -> None:
    """Write what passes the filters, all by default, with its seals. The export is itself an event."""
    flow = flow_of(config)
    asked = Asked(since, until, kind, actor, outcome, series, study, subject)
    with in_a_sentence():
        found = exporting.export(flow, who(), asked, Format.JSON if as_json else format)
    if out is None:
        sys.stdout.writelines(found.text)
        return
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            file.writelines(found.text)
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror}")
    print(f"{found.count} events in {out}", file=sys.stderr)
