"""`jobs retry|cancel|reroute`: one job, several, or all that fit."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

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

AT_ONCE = 100
"""So many jobs change in one transaction: neither workers nor the index should wait for a thousand."""


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
    some = bool(states or pipeline or series)
    if sum((bool(ids), some, everything)) != 1:
        fail("say which jobs: by their numbers, or by --state, --pipeline and --series, or --all of them")
    if ids:
        return sorted(set(ids))
    if impossible := [state for state in states if state not in possible]:
        fail(f"nothing can be done to a job that is {impossible[0]}; possible are {', '.join(possible)}")
    with flow.database.read() as session:
        return enhancements.chosen(session, tuple(states) or usual, pipeline, series)


def _each(flow: Flow, ids: Sequence[int], act: Act) -> list[dict[str, Any]]:
    """Do it to each job, or find out why it cannot be done: every one is looked at when its turn comes."""
    rows = []
    for start in range(0, len(ids), AT_ONCE):
        with flow.database.write() as session:
            now = database_now(session)
            rows += [_one(session, id, act, now) for id in ids[start : start + AT_ONCE]]
    return rows


def _one(session: Session, id: int, act: Act, now: datetime) -> dict[str, Any]:
    row = enhancements.find(session, id)
    if row is None:
        return {"id": id, "refused": f"there is no job {id}"}
    try:
        return {"id": id, "refused": "", **(act(session, row, now) or {})}
    except ValueError as error:
        return {"id": id, "refused": str(error)}


def _tell(rows: Sequence[dict[str, Any]], what: str, as_json: bool, *, one: bool) -> None:
    """Exit 1 if nothing could be done though something was asked for."""
    moved = [row for row in rows if not row["refused"]]
    refused = [{"id": row["id"], "reason": row["refused"]} for row in rows if row["refused"]]
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
        for each in refused:
            print(f"  not job {each['id']}: {each['reason']}")
    if refused and not moved:
        raise typer.Exit(1)
