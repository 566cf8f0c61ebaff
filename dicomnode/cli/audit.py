"""`audit list|verify|export`."""

import csv
import io
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomnode.audit import chain
from dicomnode.audit.events import record
from dicomnode.cli.common import (
    ConfigOption,
    JsonOption,
    LimitOption,
    actor,
    flow_of,
    plain,
    print_json,
    print_table,
)
from dicomnode.db.models import AuditEvent
from dicomnode.db.repositories import audit as audit_rows

app = typer.Typer(help="The audit log.", no_args_is_help=True)


class Format(StrEnum):
    """What an export is written as."""

    JSON = "json"
    CSV = "csv"


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 100,
    kind: Annotated[str | None, typer.Option(help="Of this kind, or of a group such as delivery.")] = None,
    series: Annotated[str | None, typer.Option("--series", help="About this series.")] = None,
    study: Annotated[str | None, typer.Option("--study", help="About this study.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The newest events, in order."""
    flow = flow_of(config)
    with flow.database.read() as session:
        found = audit_rows.listing(session, limit=limit, kind=kind, series_uid=series, study_uid=study)
    print_table([_row(event) for event in found], as_json, "no such event", ("at", "kind", "outcome", "message"))


@app.command("verify")
def verify(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Seal what is unsealed and check the whole chain. Exit 1 on tampering."""
    flow = flow_of(config)
    result = chain.verify(flow.database)
    if as_json:
        print_json({"ok": result.ok, "first_bad": result.first_bad, "sealed": result.sealed})
    elif result.ok:
        with flow.database.read() as session:
            print(f"the audit log holds: {chain.length(session)} events, {result.sealed} of them sealed just now")
    else:
        print(f"the audit log was tampered with: link {result.first_bad}: {result.reason}")
    if not result.ok:
        raise typer.Exit(1)


@app.command("export")
def export(
    config: ConfigOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; stdout without it.")] = None,
    format: Annotated[Format, typer.Option(help="json: one document; csv: for a spreadsheet.")] = Format.JSON,
    as_json: JsonOption = False,
) -> None:
    """Write the whole log with its seals. The export is itself an event."""
    flow = flow_of(config)
    with flow.database.write() as session:
        record(session, "audit.exported", f"{actor()} exported the audit log", node=flow.node, actor=actor())
    chain.seal(flow.database)
    with flow.database.read() as session:
        rows = [
            {**_row(event), "seq": link.seq if link else None, "hash": link.hash if link else None}
            for event, link in audit_rows.everything(session)
        ]
    text = _csv(rows) if format is Format.CSV and not as_json else None
    if out is None:
        sys.stdout.write(text) if text is not None else print_json(rows)
        return
    out.write_text(text if text is not None else json.dumps(plain(rows), ensure_ascii=False), encoding="utf-8")
    print(f"{len(rows)} events in {out}", file=sys.stderr)


def _row(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": event.at,
        "node": event.node,
        "actor": event.actor,
        "kind": event.kind,
        "outcome": event.outcome,
        "study_uid": event.study_uid,
        "series_uid": event.series_uid,
        "subject": event.subject,
        "message": event.message,
        "detail": event.detail,
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    """CSV in which no cell can be a formula (CWE-1236): a leading =, +, - or @ gets a quote before it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(rows[0])
    for row in plain(rows):
        cells = ("" if value is None else str(value) for value in row.values())
        writer.writerow("'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in cells)
    return buffer.getvalue()
