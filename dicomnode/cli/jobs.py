"""`jobs list|show|retry|cancel|pause|resume`."""

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
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements, holds
from dicomnode.db.repositories.holds import ENHANCING, JOBS
from dicomnode.jobs import switches
from dicomnode.jobs.ledger import operator_moves
from dicomnode.jobs.waiting import hold_words, waits_for

app = typer.Typer(help="Enhancements: what runs, what ran, what was withheld and why.", no_args_is_help=True)
PipelineOption = Annotated[str, typer.Option("--pipeline", help="Of this pipeline alone.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; others will read it.")]
Id = Annotated[int, typer.Argument(help="Number of the job.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 50,
    state: Annotated[str | None, typer.Option(help="Of this state alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Jobs, the newest first."""
    flow = flow_of(config)
    with flow.database.read() as session:
        held, now = [row for row in holds.listing(session) if row.kind in (ENHANCING, JOBS)], database_now(session)
        hours = flow.settings.engine.off_peak_hours
        rows = [
            {**_row(row), "waits_for": waits_for(row, held, hours, now)}
            for row in enhancements.listing(session, limit, state)
        ]
    if not as_json:
        for hold in held:
            print(hold_words(hold))
    columns = ("id", "state", "pipeline", "series_uid", "attempt", "verdict", "reason", "waits_for")
    print_table(rows, as_json, "there are no jobs", columns)


@app.command("show")
def show(id: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """One job with its guards' figures and what it cost."""
    flow = flow_of(config)
    with flow.database.read() as session:
        row = enhancements.find(session, id)
        if row is None:
            fail(f"there is no job {id}")
        document = {**_row(row), "figures": row.figures, "outputs": len(enhancements.outputs(session, id))}
    if as_json:
        print_json(document)
        return
    for name, value in plain(document).items():
        if name != "figures":
            print(f"{name.replace('_', ' '):>16}  {'' if value is None else value}")
    print_table(
        document["figures"],
        False,
        "\nno guard has spoken yet",
        ("guard", "verdict", "value", "limit", "unit", "reason"),
    )


@app.command("retry")
def retry(id: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run a failed, withheld, expired or cancelled job again."""
    _move(config, id, "ready", as_json)


@app.command("cancel")
def cancel(id: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Stop a job that waits or runs: originals only."""
    _move(config, id, "cancelled", as_json)


@app.command("pause")
def pause(
    config: ConfigOption = None, pipeline: PipelineOption = "", reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Start nothing more, on any node; what runs goes on."""
    flow = flow_of(config)
    with flow.database.write() as session:
        changed = switches.pause(session, pipeline, actor(), reason, flow.node)
    _told(pipeline, "paused", changed, as_json)


@app.command("resume")
def resume(config: ConfigOption = None, pipeline: PipelineOption = "", as_json: JsonOption = False) -> None:
    """Start jobs again."""
    flow = flow_of(config)
    with flow.database.write() as session:
        changed = switches.resume(session, pipeline, actor(), flow.node)
        still = bool(pipeline) and holds.held(session, JOBS) is not None
    _told(pipeline, "resumed; all jobs are still paused" if still else "resumed", changed, as_json)


def _told(pipeline: str, what: str, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"pipeline": pipeline, "changed": changed})
    else:
        print(f"{f'jobs of {pipeline}' if pipeline else 'all jobs'}: {what if changed else 'as before'}")


def _move(config: Any, id: int, state: str, as_json: bool) -> None:
    flow = flow_of(config)
    with flow.database.write() as session:
        row = enhancements.find(session, id)
        if row is None:
            fail(f"there is no job {id}")
        try:
            operator_moves(session, row, state, actor(), flow.node, database_now(session))
        except ValueError as error:
            fail(str(error))
    print_json({"id": id, "state": state}) if as_json else print(f"job {id} is {state}")


def _row(row: Enhancement) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": row.state,
        "stage": row.stage,
        "pipeline": row.pipeline,
        "version": row.version,
        "weights_sha256": row.weights_sha256,
        "params": row.params,
        "series_uid": row.series_uid,
        "generation": row.generation,
        "attempt": row.attempt,
        "failures": row.failures,
        "worker": row.worker,
        "verdict": row.verdict,
        "reason": row.reason,
        "measured": row.measured,
        "deadline_at": row.deadline_at,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }
