"""`jobs retry|cancel|reroute`: one job, several, or all that fit."""

from collections.abc import Sequence
from typing import Annotated

import typer

from dicomnode.cli.bulk import end, fail_if_one_is_refused, refused_rows, require_one_way
from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, in_a_sentence, print_json, who
from dicomnode.cli.pipelines import params_of
from dicomnode.db.repositories.job_list import JobFilter
from dicomnode.desk import jobs
from dicomnode.desk.bulk import Result

Ids = Annotated[list[int] | None, typer.Argument(help="Numbers of the jobs.", metavar="ID...")]
StateOption = Annotated[list[str] | None, typer.Option("--state", help="All of this state; may be repeated.")]
PipelineOption = Annotated[str, typer.Option("--pipeline", help="All of this pipeline.")]
SeriesOption = Annotated[str, typer.Option("--series", help="All of this series (UID).")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]
WHICH = "say which jobs: by their numbers, or by --state, --pipeline and --series, or --all of them"


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
    flow, which = flow_of(config), _which(ids, state, pipeline, series, everything)
    with in_a_sentence():
        result = jobs.retry(flow, who(), which)
    _tell(result, "ready", ids or (), as_json)


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
    flow, which = flow_of(config), _which(ids, state, pipeline, series, everything)
    with in_a_sentence():
        result = jobs.cancel(flow, who(), which)
    _tell(result, "cancelled", ids or (), as_json)


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
    flow, params = flow_of(config), params_of(param or [])
    which = _which(ids, state, pipeline, series, everything)
    with in_a_sentence():
        result = jobs.reroute(flow, who(), which, to, params)
    _tell(result, "rerouted", ids or (), as_json)


def _which(ids: list[int] | None, states: list[str] | None, pipeline: str, series: str, everything: bool) -> jobs.Which:
    require_one_way(WHICH, ids or (), (states, pipeline, series), everything)
    return ids or JobFilter(tuple(states or ()), pipeline, series)


def _tell(result: Result, what: str, ids: Sequence[int], as_json: bool) -> None:
    fail_if_one_is_refused(result, ids)
    moved = list(result.done)
    if as_json:
        document = {"state": what, "count": len(moved), "jobs": moved, "refused": refused_rows(result)}
        document |= {"to": dict(result.done)} if what == "rerouted" else {}
        print_json(document | {"id": moved[0]} if len(ids) == 1 else document)
    elif len(ids) == 1:
        print(f"job {moved[0]} is {what}" + (f" to job {result.done[moved[0]]}" if what == "rerouted" else ""))
    elif moved:
        print(f"{len(moved)} jobs are {what}")
    elif not result.refused:
        print("no job fits")
    end(result, "job", as_json)
