"""`series list|show|complete|export|keep|release`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.orm import Session

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
from dicomnode.db.models import Delivery, DerivedSeriesRow, Enhancement, Outdating, RuleDecision, Series, Study
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import deliveries, enhancements, instances, outdatings
from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.rejection import TITLES
from dicomnode.flow import Flow, retention
from dicomnode.flow.export import CannotExport
from dicomnode.flow.export import export as write_files

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
    for section in ("decisions", "enhancements", "outdated", "rejected", "deliveries", "versions"):
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
    derived: Annotated[bool, typer.Option("--derived", help="What was derived from it as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a series' instances as DICOM files, byte for byte as they are stored."""
    flow = flow_of(config)
    try:
        with Progress(console=Console(stderr=True), disable=as_json) as progress:
            task = progress.add_task("export", total=None)
            count = write_files(
                flow,
                uid,
                out,
                actor(),
                derived=derived,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
    except CannotExport as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror}")
    print_json({"uid": uid, "files": count}) if as_json else print(f"{count} files in {out}")


@app.command("keep")
def keep(uid: Uid, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Keep a series from retention, until it is released."""
    flow = flow_of(config)
    with flow.database.write() as session:
        retention.keep(flow, session, _found(series_rows.find(session, uid), uid), actor())
    print_json({"uid": uid, "kept": True}) if as_json else print("retention leaves it alone from now on")


@app.command("release")
def release(
    uid: Uid,
    config: ConfigOption = None,
    promise: Annotated[
        bool, typer.Option("--promise", help="Break what a modality was promised by storage commitment, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Leave a series to retention: it is kept no longer, and its quarantined conflicts have been looked at."""
    flow = flow_of(config)
    with flow.database.write() as session:
        series = _found(series_rows.find(session, uid), uid)
        settled = retention.release(flow, session, series, actor(), promise=promise)
        kept_for = series.kept_for
    if as_json:
        print_json({"uid": uid, "kept": bool(kept_for), "conflicts": settled})
    else:
        words = (
            f"it stays, as it was promised to {kept_for} by storage commitment" if kept_for else "retention may take it"
        )
        print(words + (f"; {settled} conflicts are settled" if settled else ""))


def _document(flow: Flow, uid: str) -> dict[str, Any]:
    with flow.database.read() as session:
        series = _found(series_rows.find(session, uid), uid)
        study = session.get_one(Study, series.study_uid)
        facts = series_rows.facts(session, uid)
        work = enhancements.of_series(session, uid)
        gone = instances.gone(session, uid)
        named = {row.id: enhancements.derived_series(session, row.id) for row in work}
        return {
            **_row(series, study, instances.count(session, uid) + sum(gone.values())),
            **{why: gone.get(why, 0) for why in ("purged", "missing", "damaged")},
            "kept_by": series.kept_by,
            "kept_for": series.kept_for,
            "due_at": series.due_at,
            "completed_at": series.completed_at,
            "reason": facts.reason if facts else series.due_reason,
            "derived_by_node": series.derived_by_node,
            "decisions": [_decision(row, work) for row in site_rows.decisions(session, uid)],
            "enhancements": [_enhancement(session, row, named[row.id]) for row in work],
            "outdated": [_outdated(row, named[row.enhancement_id]) for row in outdatings.of_series(session, uid)],
            "rejected": [
                {"title": TITLES[code], "instances": count} for code, count in outdatings.rejected(session, uid).items()
            ],
            "deliveries": [_delivery(session, row) for row in deliveries.of_series(session, uid)],
            "versions": [
                {
                    "sop_uid": row.sop_uid,
                    "kind": row.kind,
                    "settled_at": row.settled_at,
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


def _decision(row: RuleDecision, work: Sequence[Enhancement]) -> dict[str, Any]:
    columns = ("generation", "revision", "rule", "matched", "outcome")
    return {**{name: getattr(row, name) for name in columns}, "became": _became(row, work)}


def _enhancement(session: Session, row: Enhancement, derived: DerivedSeriesRow | None) -> dict[str, Any]:
    outputs = enhancements.outputs(session, row.id)
    return {
        **{name: getattr(row, name) for name in ("id", "pipeline", "version", "state", "verdict", "reason")},
        "derived_series_uid": derived.uid if derived else None,
        "outputs": len(outputs),
        "outputs_purged": sum(output.gone == "purged" for output in outputs),
    }


def _outdated(row: Outdating, derived: DerivedSeriesRow | None) -> dict[str, Any]:
    return {
        "enhancement": row.enhancement_id,
        "derived_series_uid": derived.uid if derived else None,
        "since": row.outdated_at,
        "reason": row.reason,
        "title": TITLES[row.code],
        "rejection_note": row.note_uid or None,
    }


def _delivery(session: Session, row: Delivery) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in ("id", "destination", "subject", "state")},
        "instances": deliveries.counts(session, row.id),
        "reason": row.reason,
        "confirmation": row.confirmation,
    }


def _became(decision: RuleDecision, work: Sequence[Enhancement]) -> str:
    """What came of a rule's answer until now."""
    for row in work:
        if row.id == decision.enhancement_id:
            return f"{row.state}: {row.reason}" if row.reason else row.state
    return "originals only" if decision.matched else ""


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
        "purged_at": series.purged_at,
    }


def _found(series: Series | None, uid: str) -> Series:
    if series is None:
        fail(f"no instance of series {uid} has arrived")
    return series
