"""Pipelines and models as people see them: what they are, who uses them, what they did lately, what is wrong."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.repositories import drift as drift_rows
from dicomnode.db.repositories import pipeline_runs
from dicomnode.db.repositories.pipeline_runs import Run
from dicomnode.desk.broken import why_broken
from dicomnode.desk.parameters import Parameter, parameters_of
from dicomnode.desk.refused import Refused
from dicomnode.desk.weights import WeightsState, state_of
from dicomnode.domain.site import Rule
from dicomnode.enhance.card import ModelCard
from dicomnode.enhance.registry import Entry
from dicomnode.flow import Flow
from dicomnode.flow.enhancing.drift import summary

LAST = 200
"""So many of the newest jobs are counted."""
SHOWN = 20
Chart = Mapping[str, Any]
"""A control chart of the drift watch: see `flow.drift.summary`."""


@dataclass(frozen=True)
class Use:
    """A rule that names the pipeline."""

    rule: str
    state: str


@dataclass(frozen=True)
class Lately:
    """What became of the newest jobs, `LAST` at most: how many of each state, and what they took."""

    runs: int
    states: Mapping[str, int]
    median_seconds: float | None
    longest_seconds: float | None


@dataclass(frozen=True)
class PipelineView:
    """A pipeline of the registry, or one that rules name and nobody installed. `error` is empty where it is usable:
    nothing is wrong with its file, its weights are those of its card, and no worker has refused them."""

    name: str
    version: str
    title: str
    file: str
    error: str
    weights: WeightsState | None
    uses: Sequence[Use]
    lately: Lately
    drift: Mapping[str, int]
    """How many control charts are in each state."""

    @property
    def usable(self) -> bool:
        return not self.error


@dataclass(frozen=True)
class PipelineStory:
    """All that is known of one. `figures` are the card's, each under its path, as it wrote them."""

    view: PipelineView
    card: ModelCard | None
    parameters: Sequence[Parameter]
    figures: Sequence[tuple[str, str]]
    runs: Sequence[Run]
    charts: Sequence[Chart]


def pipelines(flow: Flow) -> list[PipelineView]:
    """Every pipeline, the broken ones among them, in the registry's order; then those that rules name in vain."""
    with flow.database.read() as session:
        _, site = flow.site.get(session)
        charts = _charts(session)
        return [_view(session, entry, site.rules, charts) for entry in _entries(flow, site.rules)]


def pipeline(flow: Flow, name: str) -> PipelineStory:
    """One pipeline. Raises Refused where there is none of this name."""
    with flow.database.read() as session:
        _, site = flow.site.get(session)
        found = [entry for entry in _entries(flow, site.rules) if entry.name == name]
        if not found:
            raise Refused(f"there is no pipeline {name}", "missing")
        entry = next((each for each in found if each.usable), found[0])
        charts = _charts(session)
        return PipelineStory(
            view=_view(session, entry, site.rules, charts),
            card=entry.card,
            parameters=parameters_of(entry),
            figures=list(flat(entry.card.metrics)) if entry.card else (),
            runs=pipeline_runs.last(session, name, SHOWN),
            charts=[chart for chart in charts if chart["pipeline"] == name],
        )


def flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """A free table line by line: where a value stands, and the value in few digits."""
    for key, value in table.items():
        where = f"{path} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            yield from flat(value, where)
        elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
            for number, each in enumerate(value, 1):
                yield from flat(each, f"{where} {number}") if isinstance(each, Mapping) else [(where, _few(each))]
        else:
            yield where, ", ".join(map(_few, value)) if isinstance(value, list | tuple) else _few(value)


def _few(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _entries(flow: Flow, rules: Sequence[Rule]) -> list[Entry]:
    known = list(flow.registry)
    names = {entry.name for entry in known}
    wanted = dict.fromkeys(rule.enhance.pipeline for rule in rules if rule.enhance is not None)
    absent = [name for name in wanted if name not in names]
    return known + [Entry(name, flow.settings.pipelines.path, error="it is not installed") for name in absent]


def _view(session: Session, entry: Entry, rules: Sequence[Rule], charts: Sequence[Chart]) -> PipelineView:
    weights, runs = state_of(entry), pipeline_runs.last(session, entry.name, LAST)
    return PipelineView(
        name=entry.name,
        version=entry.version,
        title=entry.card.model.title if entry.card else entry.title,
        file=entry.path.name,
        error=why_broken(entry, weights, runs),
        weights=weights,
        uses=[Use(rule.name, rule.state) for rule in rules if rule.enhance and rule.enhance.pipeline == entry.name],
        lately=_lately(runs),
        drift=Counter(str(chart["state"]) for chart in charts if chart["pipeline"] == entry.name),
    )


def _lately(runs: Sequence[Run]) -> Lately:
    seconds = [run.seconds for run in runs if run.state in ("done", "withheld") and run.seconds is not None]
    longest = max(seconds, default=None)
    return Lately(len(runs), Counter(run.state for run in runs), median(seconds) if seconds else None, longest)


def _charts(session: Session) -> list[Chart]:
    return [summary(row) for row in drift_rows.listing(session)]
