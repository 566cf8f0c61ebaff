"""`jobs retry|cancel|reroute`: one job, several, or all that fit."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from dicomnode.cli.bulk import each, given, parted
from dicomnode.cli.common import ConfigOption, JsonOption, actor, fail, flow_of, print_json
from dicomnode.cli.pipelines import params_of
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.flow import Flow
from dicomnode.flow.rerouting import REROUTABLE
from dicomnode.flow.rerouting import reroute as send_elsewhere
from dicomnode.jobs.operators import CANCELLABLE, RETRIABLE, operator_moves

Ids = Annotated[list[int] | None, typer.Argument(help="Numbers of the jobs.", metavar="ID...")]
StateOption = Annotated[list[str] | None, typer.Option("--state", help="All of this state; may be repeated.")]
PipelineOption = Annotated[str, typer.Option("--pipeline", help="All of this pipeline.")]
SeriesOption = Annotated[str, typer.Option("--series", help="All of this series (UID).")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]
Act = Callable[[Session, Enhancement, datetime], Any]


def retry(
    ids: Ids = None,
    config: ConfigOption = None,
    state: StateOption = None,
    pipeline: PipelineOption = "",
    series: SeriesOption = "",
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run jobs again that failed; by --state also those that are withheld, expired or cancelled."""
    flow, by = flow_of(config), actor()
    chosen = _chosen(flow, ids, state or [], pipeline, series, everything, usual=("failed",), possible=RETRIABLE)

    def act(session: Session, row: Enhancement, now: datetime) -> None:
        operator_moves(session, row, "ready", by, flow.node, now)

    _tell(_each(flow, chosen, act), "ready", as_json, one=len(ids or []) == 1)


def cancel(
    ids: Ids = None,
    config: ConfigOption = None,
    state: StateOption = None,
    pipeline: PipelineOption = "",
    series: SeriesOption = "",
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop jobs that wait or run: originals only."""
    flow, by = flow_of(config), actor()
    chosen = _chosen(flow, ids, state or [], pipeline, series, everything, usual=CANCELLABLE, possible=CANCELLABLE)

    def act(session: Session, row: Enhancement, now: datetime) -> None:
        operator_moves(session, row, "cancelled", by, flow.node, now)

    _tell(_each(flow, chosen, act), "cancelled", as_json, one=len(ids or []) == 1)


def reroute(
    to: Annotated[str, typer.Option("--to", help="The pipeline that is to do it instead.")],
    ids: Ids = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="name=value; may be repeated.")] = None,
    config: ConfigOption = None,
    state: StateOption = None,
    pipeline: PipelineOption = "",
    series: SeriesOption = "",
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have another pipeline do jobs that wait; by number or --state also others whose derived series is not out."""
    flow, by, params = flow_of(config), actor(), params_of(param or [])
    chosen = _chosen(flow, ids, state or [], pipeline, series, everything, usual=("ready",), possible=REROUTABLE)

    def act(session: Session, row: Enhancement, now: datetime) -> dict[str, Any]:
        return {"to": send_elsewhere(flow, session, row, to, params, by, now).id}

    _tell(_each(flow, chosen, act), "rerouted", as_json, one=len(ids or []) == 1)


def _chosen(
    flow: Flow,
    ids: Sequence[int] | None,
    states: Sequence[str],
    pipeline: str,
    series: str,
    everything: bool,
    *,
    usual: Sequence[str],
    possible: Sequence[str],
) -> Sequence[int]:
    """The numbers that were given, or those of all jobs that fit and can be moved."""
    numbers = given(
        ids or (),
        states,
        fitting=bool(states or pipeline or series),
        everything=everything,
        which="say which jobs: by their numbers, or by --state, --pipeline and --series, or --all of them",
        noun="job",
        possible=possible,
    )
    if numbers is not None:
        return numbers
    with flow.database.read() as session:
        return enhancements.chosen(session, tuple(states) or usual, pipeline, series)


def _each(flow: Flow, ids: Sequence[int], act: Act) -> list[dict[str, Any]]:
    def one(session: Session, id: int) -> dict[str, Any]:
        row = enhancements.find(session, id)
        if row is None:
            raise ValueError(f"there is no job {id}")
        return act(session, row, database_now(session)) or {}

    return each(flow, ids, one)


def _tell(rows: Sequence[dict[str, Any]], what: str, as_json: bool, *, one: bool) -> None:
    """Exit 1 if nothing could be done though something was asked for."""
    moved, refused = parted(rows)
    if one and refused:
        fail(refused[0]["reason"])
    if as_json:
        document = {"state": what, "count": len(moved), "jobs": [row["id"] for row in moved], "refused": refused}
        document |= {"to": {row["id"]: row["to"] for row in moved}} if what == "rerouted" else {}
        print_json(document | {"id": rows[0]["id"]} if one else document)
    elif one:
        print(f"job {rows[0]['id']} is {what}" + (f" to job {rows[0]['to']}" if "to" in rows[0] else ""))
    else:
        print(f"{len(moved)} jobs are {what}")
        for left in refused:
            print(f"  not job {left['id']}: {left['reason']}")
    if refused and not moved:
        raise typer.Exit(1)
