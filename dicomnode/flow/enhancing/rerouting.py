"""An operator has another pipeline do what a rule asked of one; the result goes where the rule sends it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Enhancement, SeriesFactsRow
from dicomnode.db.repositories import enhancements, instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.errors import EnhanceError
from dicomnode.flow.context import Flow, gone_words
from dicomnode.flow.delivering.outputs import plan_outputs
from dicomnode.jobs.operators import CANCELLABLE, RETRIABLE, move
from dicomnode.jobs.work import Work, enter, subject_of

REROUTABLE = tuple(dict.fromkeys((*CANCELLABLE, *RETRIABLE)))
"""Not what is done: its derived series is out."""


def reroute(
    flow: Flow, session: Session, row: Enhancement, pipeline: str, params: Mapping[str, Any], actor: str, now: datetime
) -> Enhancement:
    """Have `pipeline` do the work of `row`, which is cancelled if it waits or runs. Returns what is done instead.

    What rules decided points to the new work from now on, and late instances of the series join it. It has no deadline:
    who asks for it wants the result. Raises ValueError, with a sentence, before anything is changed.
    """
    enhancements.lock(session, row)
    if row.state not in REROUTABLE:
        raise ValueError(f"job {row.id} is {row.state}: it cannot go to another pipeline")
    work = _work(flow, session, row, pipeline, params)
    if work.key == row.key:
        raise ValueError(f"job {row.id} is of {pipeline} with these parameters already")
    known = enhancements.by_key(session, work.key)
    if known is not None:
        known.rerouted_to = None  # else the two might point to each other
    target = enter(session, work, flow.node, now)
    if target.state in RETRIABLE:
        move(target, "ready", f"{actor} sent job {row.id} to it", now)
    session.flush()
    if row.state in CANCELLABLE:
        move(row, "cancelled", f"{actor} sent it to {pipeline}: job {target.id}", now)
    row.rerouted_to = target.id
    site_rows.point_to(session, row.id, target.id, f"{actor} sent it to {pipeline}")
    record(
        session,
        "enhancement.rerouted",
        f"{actor} sent it to {pipeline} instead of {row.pipeline}",
        node=flow.node,
        actor=actor,
        series_uid=row.series_uid,
        subject=subject_of(row.id),
        detail={"to": target.id, "pipeline": pipeline, "params": dict(work.recipe.params)},
    )
    if target.state == "done":
        plan_outputs(flow, session, target, now)
    return target


def _work(flow: Flow, session: Session, row: Enhancement, name: str, params: Mapping[str, Any]) -> Work:
    """What is to be done instead, if that pipeline takes this series."""
    try:
        entry = flow.registry.usable(name)
        recipe = flow.registry.recipe(name, params, row.writer_profile)
    except EnhanceError as error:
        raise ValueError(str(error)) from error
    if gone := instances.gone(session, row.series_uid):
        raise ValueError(f"the series is not whole: {gone_words(gone)}")
    facts = series_rows.facts(session, row.series_uid, row.generation)
    assert isinstance(facts, SeriesFactsRow)
    acceptance = entry.accepts(SeriesFacts.from_json(facts.facts))
    if not acceptance.accepted:
        raise ValueError(f"{name} declines: {acceptance.reason}")
    per_generation = entry.pipeline is not None and entry.pipeline.scope == "volume"
    return Work(row.series_uid, row.generation, recipe, row.priority, per_generation)
