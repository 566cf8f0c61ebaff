"""`jobs list|show`."""

from typing import Annotated, Any

import typer

from dicomnode.cli.common import (
    ConfigOption,
    JsonOption,
    LimitOption,
    fail,
    flow_of,
    plain,
    print_json,
    print_table,
    require_state,
)
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements, holds
from dicomnode.db.repositories.holds import ENHANCING, JOBS
from dicomnode.desk.queue import JOB_STATES
from dicomnode.jobs.waiting import hold_words, waits_for

app = typer.Typer(help="Enhancements: what runs, what ran, what was withheld and why.", no_args_is_help=True)
Id = Annotated[int, typer.Argument(help="Number of the job.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 50,
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(JOB_STATES)}.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Jobs, the newest first."""
    require_state(state, JOB_STATES, "job")
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
    print_table(rows, as_json, f"no job is {state}" if state else "there are no jobs", columns)


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


def _row(row: Enhancement) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": row.state,
        "stage": row.stage if row.state == "running" else "",
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
        "rerouted_to": row.rerouted_to,
        "deadline_at": row.deadline_at,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }
