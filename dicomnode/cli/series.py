"""`series list|show|complete|export|run`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dicomnode.cli.common import (
    ConfigOption,
    JsonOption,
    LimitOption,
    actor,
    fail,
    flow_of,
    plain,
    print_json,
    print_table,
)
from dicomnode.complete.schedule import command
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Series, Study
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import deliveries, enhancements, instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import site as site_rows
from dicomnode.flow import Flow
from dicomnode.store.reading import read_bytes

app = typer.Typer(help="Series and what became of them.", no_args_is_help=True)
Uid = Annotated[str, typer.Argument(help="Series Instance UID.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 50,
    study: Annotated[str | None, typer.Option("--study", help="Of this study alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The series that arrived, the newest first."""
    flow = flow_of(config)
    with flow.database.read() as session:
        rows = [_row(*found) for found in series_rows.listing(session, limit, study)]
    columns = ("uid", "modality", "description", "instances", "state", "generation", "calling_aet", "last_arrival_at")
    print_table(rows, as_json, "no series has arrived yet", columns)


@app.command("show")
def show(uid: Uid, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Everything known of a series: its instances, decisions, enhancements, deliveries and its story."""
    flow = flow_of(config)
    document = _document(flow, uid)
    if as_json:
        print_json(document)
        return
    head = {key: value for key, value in document.items() if not isinstance(value, list)}
    for name, value in plain(head).items():
        print(f"{name.replace('_', ' '):>18}  {'' if value is None else value}")
    for section in ("decisions", "enhancements", "deliveries", "versions"):
        if document[section]:
            print(f"\n{section}")
            print_table(document[section], False, "")
    print("\nstory")
    print_table(document["story"], False, "nothing yet", ("at", "kind", "message"))


@app.command("complete")
def complete(uid: Uid, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say that a series is complete, now, without waiting for evidence or quiet time."""
    flow = flow_of(config)
    with flow.database.write() as session:
        series = _found(series_rows.find(session, uid), uid)
        try:
            command(series, actor(), database_now(session))
        except ValueError as error:
            fail(str(error))
    print_json({"uid": uid, "ok": True}) if as_json else print("it will be completed within a second by the node")


@app.command("export")
def export(
    uid: Uid,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; made where needed.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a series' instances as DICOM files, byte for byte as they are stored."""
    flow = flow_of(config)
    with flow.database.read() as session:
        _found(series_rows.find(session, uid), uid)
        rows = instances.of_series(session, uid)
    out.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows, start=1):
        (out / f"{number:05d}.dcm").write_bytes(read_bytes(flow.root, instances.location(row)))
    print_json({"uid": uid, "files": len(rows)}) if as_json else print(f"{len(rows)} files in {out}")


def _document(flow: Flow, uid: str) -> dict[str, Any]:
    with flow.database.read() as session:
        series = _found(series_rows.find(session, uid), uid)
        study = session.get_one(Study, series.study_uid)
        facts = series_rows.facts(session, uid)
        work = enhancements.of_series(session, uid)
        named = {row.id: enhancements.derived_series(session, row.id) for row in work}
        return {
            **_row(series, study, instances.count(session, uid)),
            "due_at": series.due_at,
            "completed_at": series.completed_at,
            "reason": facts.reason if facts else series.due_reason,
            "derived_by_node": series.derived_by_node,
            "decisions": [
                {
                    "generation": row.generation,
                    "revision": row.revision,
                    "rule": row.rule,
                    "matched": row.matched,
                    "outcome": row.outcome,
                }
                for row in site_rows.decisions(session, uid)
            ],
            "enhancements": [
                {
                    "id": row.id,
                    "pipeline": row.pipeline,
                    "version": row.version,
                    "state": row.state,
                    "verdict": row.verdict,
                    "reason": row.reason,
                    "derived_series_uid": derived.uid if (derived := named[row.id]) else None,
                    "outputs": len(enhancements.outputs(session, row.id)),
                }
                for row in work
            ],
            "deliveries": [
                {
                    "id": row.id,
                    "destination": row.destination,
                    "subject": row.subject,
                    "state": row.state,
                    "instances": deliveries.counts(session, row.id),
                    "reason": row.reason,
                }
                for row in deliveries.of_series(session, uid)
            ],
            "versions": [
                {
                    "sop_uid": row.sop_uid,
                    "kind": row.kind,
                    "received_at": row.received_at,
                    "differences": row.differences,
                }
                for row in instances.versions(session, uid)
            ],
            "story": [
                {"at": row.at, "kind": row.kind, "outcome": row.outcome, "message": row.message}
                for row in audit_rows.listing(session, limit=500, series_uid=uid)
            ],
        }


def _row(series: Series, study: Study, count: int) -> dict[str, Any]:
    return {
        "uid": series.uid,
        "study_uid": series.study_uid,
        "patient_id": study.patient_id,
        "patient_name": study.patient_name,
        "accession_number": study.accession_number,
        "modality": series.modality,
        "description": series.description,
        "instances": count,
        "state": series.state,
        "generation": series.generation,
        "calling_aet": series.calling_aet,
        "last_arrival_at": series.last_arrival_at,
    }


def _found(series: Series | None, uid: str) -> Series:
    if series is None:
        fail(f"no instance of series {uid} has arrived")
    return series
