"""What people do to jobs: retry, cancel, have another pipeline do them, pause and resume."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements, holds, job_list
from dicomnode.db.repositories.job_list import JobFilter
from dicomnode.desk.bulk import Result, Verb, each
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow
from dicomnode.flow.enhancing.rerouting import REROUTABLE
from dicomnode.flow.enhancing.rerouting import reroute as send_elsewhere
from dicomnode.jobs import switches
from dicomnode.jobs.operators import CANCELLABLE, RETRIABLE, operator_moves

RETRY = Verb("retry", "job", ("failed",), RETRIABLE)
CANCEL = Verb("cancel", "job", CANCELLABLE, CANCELLABLE)
REROUTE = Verb("reroute", "job", ("ready",), REROUTABLE)
VERBS = {verb.name: verb for verb in (RETRY, CANCEL, REROUTE)}

Which = Sequence[int] | JobFilter
"""Jobs by their numbers, or all that fit."""


def numbers(flow: Flow, which: Which, verb: Verb) -> Sequence[int]:
    """The numbers of the jobs that are meant. Raises Refused."""
    if not isinstance(which, JobFilter):
        return sorted(set(which))
    with flow.database.read() as session:
        return job_list.numbers(session, replace(which, states=verb.states(which.states)))


def retry(flow: Flow, person: Person, which: Which, within: float | None = None) -> Result:
    """Run them again, without a deadline. Raises Refused."""

    def act(session: Session, row: Enhancement, now: datetime) -> int:
        operator_moves(session, row, "ready", person.name, flow.node, now)
        return row.id

    return _each(flow, numbers(flow, which, RETRY), act, within)


def cancel(flow: Flow, person: Person, which: Which, within: float | None = None) -> Result:
    """Stop them: originals only. Raises Refused."""

    def act(session: Session, row: Enhancement, now: datetime) -> int:
        operator_moves(session, row, "cancelled", person.name, flow.node, now)
        return row.id

    return _each(flow, numbers(flow, which, CANCEL), act, within)


def reroute(
    flow: Flow, person: Person, which: Which, to: str, params: Mapping[str, Any], within: float | None = None
) -> Result:
    """Have the pipeline `to` do them instead; `Result.done` names the job that does. Raises Refused."""

    def act(session: Session, row: Enhancement, now: datetime) -> int:
        return send_elsewhere(flow, session, row, to, params, person.name, now).id

    return _each(flow, numbers(flow, which, REROUTE), act, within)


def pause(flow: Flow, person: Person, pipeline: str, reason: str) -> bool:
    """Start nothing more, of one pipeline or (empty) of any; what runs goes on. False: it was paused already.

    Raises Refused for a pipeline that is neither there nor has had jobs.
    """
    with flow.database.write() as session:
        known = {entry.name for entry in flow.registry} | set(job_list.pipelines(session))
        if pipeline and pipeline not in known:
            raise Refused(f"there is no pipeline {pipeline!r}; there are {', '.join(sorted(known)) or 'none'}")
        return switches.pause(session, pipeline, person.name, reason, flow.node)


def resume(flow: Flow, person: Person, pipeline: str) -> tuple[bool, bool]:
    """Start jobs again: whether that changed anything, and whether all jobs are still paused nevertheless."""
    with flow.database.write() as session:
        changed = switches.resume(session, pipeline, person.name, flow.node)
        return changed, bool(pipeline) and holds.held(session, holds.JOBS) is not None


def _each(
    flow: Flow, ids: Sequence[int], act: Callable[[Session, Enhancement, datetime], int], within: float | None
) -> Result:
    def one(session: Session, id: int) -> int:
        row = enhancements.find(session, id)
        if row is None:
            raise ValueError(f"there is no job {id}")
        return act(session, row, database_now(session))

    return each(flow, ids, one, within)
