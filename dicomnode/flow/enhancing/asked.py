"""Work that somebody asks for by hand, whatever the rules say of the series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Enhancement, RuleDecision, Series
from dicomnode.db.repositories import instances, outdatings
from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.priority import PRIORITIES
from dicomnode.enhance.errors import EnhanceError
from dicomnode.flow.context import Flow, gone_words
from dicomnode.flow.delivering.outputs import plan_outputs
from dicomnode.flow.outdated.rejections import refusal
from dicomnode.jobs.operators import RETRIABLE, move
from dicomnode.jobs.work import Work, enter, subject_of

BY_HAND = "by hand"
"""How the name of a decision begins that no rule made; the destinations of the work stand in it as in a rule's."""


class NotNow(ValueError):
    """The series as it stands now does not allow it, whatever pipeline is asked for."""


@dataclass(frozen=True)
class Asked:
    """What somebody wants of a series. Without destinations it is computed and shown, and sent nowhere."""

    pipeline: str
    params: Mapping[str, Any] = field(default_factory=dict)
    destinations: Sequence[str] = ()
    priority: str = "normal"


def ask(flow: Flow, session: Session, series: Series, asked: Asked, actor: str, now: datetime) -> Enhancement:
    """Enter work on the newest generation of `series`, locked. Returns it, which may be work that a rule asked for.

    It is in the ledger like any other, and what is asked for stands beside the decisions of rules: delivery, retries
    and the story of the series know no difference. A later generation asks the rules alone. Raises ValueError, with a
    sentence; nothing is to be committed then.
    """
    work = _work(flow, session, series, asked)
    revision, site = flow.site.get(session)
    for name in asked.destinations:
        if site.destination(name) is None:
            raise ValueError(f"there is no destination {name}")
    if not revision:
        raise NotNow("nothing is in force yet: publish destinations or rules first, then ask again")
    row = enter(session, work, flow.node, now)
    if row.state == "outdated":
        raise NotNow(f"job {row.id} has done this, and its result is outdated: see why on the page of the job")
    if row.state in RETRIABLE:
        move(row, "ready", f"{actor} asked for it", now)
    session.flush()
    _decide(session, series, revision, row, asked, actor, now)
    where = ", ".join(asked.destinations)
    record(
        session,
        "series.run",
        f"{actor} has {asked.pipeline} run on it by hand" + (f", for {where}" if where else "; it is sent nowhere"),
        node=flow.node,
        actor=actor,
        study_uid=series.study_uid,
        series_uid=series.uid,
        subject=subject_of(row.id),
        detail={
            "pipeline": asked.pipeline,
            "params": dict(work.recipe.params),
            "deliver_to": list(asked.destinations),
            "generation": series.generation,
        },
    )
    if row.state == "done":
        plan_outputs(flow, session, row, now)
    return row


def objection(flow: Flow, session: Session, series: Series) -> str:
    """Why no pipeline may run on the series now, in a sentence; empty when one may."""
    if series.state != "complete":
        return "instances of it are still expected: wait until it is complete, or say that it is"
    if series.derived_by_node:
        return "a dicomnode made this series: it is never enhanced again"
    if gone := instances.gone(session, series.uid):
        return f"the series is not whole: {gone_words(gone)}"
    if codes := outdatings.rejected(session, series.uid):
        return f"{sum(codes.values())} of its instances were rejected: {refusal(codes)}"
    return ""


def _work(flow: Flow, session: Session, series: Series, asked: Asked) -> Work:
    if why := objection(flow, session, series):
        raise NotNow(why)
    if asked.priority not in PRIORITIES:
        raise ValueError(f"priority is one of {', '.join(PRIORITIES)}")
    try:
        entry = flow.registry.usable(asked.pipeline)
        recipe = flow.registry.recipe(asked.pipeline, asked.params)
    except EnhanceError as error:
        raise ValueError(str(error)) from error
    facts = series_rows.facts(session, series.uid, series.generation)
    assert facts is not None
    acceptance = entry.accepts(SeriesFacts.from_json(facts.facts))
    if not acceptance.accepted:
        raise ValueError(f"{asked.pipeline} declines: {acceptance.reason}")
    per_generation = entry.pipeline is not None and entry.pipeline.scope == "volume"
    return Work(series.uid, series.generation, recipe, PRIORITIES[asked.priority], per_generation)


def _decide(
    session: Session, series: Series, revision: int, row: Enhancement, asked: Asked, actor: str, now: datetime
) -> None:
    """A decision like a rule's, so that what is made goes where it was asked for, late or retried as it may be."""
    earlier = sum(each.rule.startswith(f"{BY_HAND}: ") for each in site_rows.decisions(session, series.uid))
    session.add(
        RuleDecision(
            series_uid=series.uid,
            generation=series.generation,
            revision=revision,
            rule=f"{BY_HAND}: {asked.pipeline}" + (f" ({earlier + 1})" if earlier else ""),
            rule_state="live",
            matched=True,
            outcome=f"{actor} asked for it: {asked.pipeline}",
            enhancement_id=row.id,
            deliver_to=list(asked.destinations),
            explanation={"by": actor, "pipeline": asked.pipeline, "params": dict(asked.params)},
            decided_at=now,
        )
    )
    session.flush()
