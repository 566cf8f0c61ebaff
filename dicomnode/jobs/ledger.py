"""The ledger: claim, lease, fence, commit. Every function runs in the caller's transaction.

A claim raises `attempt`, which fences everything after it: a worker that was paused past its lease finds its attempt
out of date and can change nothing. Leases are compared on the database's clock alone. What enters it: `work`.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from dicomnode.audit.events import Event, event, record, write
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements, holds
from dicomnode.domain.states import ENHANCEMENT
from dicomnode.jobs.work import is_outrun, subject_of

REAPED_AT_ONCE = 500
"""How many rows of a kind `reap` takes: no transaction should keep others waiting for long."""


class StaleAttempt(Exception):
    """The work was taken from this worker: its lease ran out, or an operator cancelled it. Nothing was changed."""


class EnhancingStopped(Exception):
    """An operator stopped all enhancing: what runs is given back, and nothing of it is committed."""


@dataclass(frozen=True)
class Claim:
    """A worker's right to do one piece of work, until its lease runs out."""

    enhancement_id: int
    attempt: int
    generation: int
    worker: str
    is_next: bool = field(default=False, compare=False)
    """It was taken with the end of the job before: that it has begun, the ledger is yet to hear."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often work is tried, and how long a failed attempt waits."""

    max_attempts: int = 3
    retry_seconds: float = 5.0


def claim(
    session: Session, worker: str, node: str, lease_seconds: float, *, shut: int = enhancements.NOTHING_SHUT
) -> Claim | None:
    """Take the most urgent piece of work, or None. Call it in a write transaction.

    Nothing is taken while enhancing is stopped or jobs are paused, and nothing of the priority `shut`.
    """
    taken = enhancements.take(session, worker, lease_seconds, shut)
    claimed, events = _claimed(taken, worker, node)
    if events:
        write(session, *events)
    return claimed


def _claimed(taken: Row[int, int, int, str, str] | None, worker: str, node: str) -> tuple[Claim | None, list[Event]]:
    """The claim that `enhancements.take` gave, and its audit event."""
    if taken is None:
        return None, []
    id, attempt, generation, series_uid, pipeline = taken
    claimed = event(
        "enhancement.claimed",
        f"{worker} took {pipeline} (attempt {attempt})",
        node=node,
        series_uid=series_uid,
        subject=subject_of(id),
        detail={"worker": worker, "attempt": attempt},
    )
    return Claim(id, attempt, generation, worker), [claimed]


def anything_to_claim(session: Session, *, shut: int = enhancements.NOTHING_SHUT) -> bool:
    """Whether `claim` would find work; a read, so that idle workers never take the write lock."""
    return enhancements.anything_claimable(session, shut)


def renew(session: Session, held: Claim, lease_seconds: float, stage: str) -> bool:
    """Extend the lease and say how far the work is. False: it is no longer this worker's."""
    return enhancements.renew(session, held.enhancement_id, held.attempt, lease_seconds, stage)


def interruption(session: Session, held: Claim) -> StaleAttempt | EnhancingStopped | None:
    """Why the work should not go on, if it should not; a read."""
    if not enhancements.counts(session, held.enhancement_id, held.attempt):
        return _stale(held)
    stop = holds.held(session, holds.ENHANCING)
    return EnhancingStopped(f"{stop.by} stopped enhancing: {stop.reason}") if stop else None


def fenced(session: Session, held: Claim) -> Enhancement:
    """The row, locked, if the claim still holds and work may be finished.

    Raises StaleAttempt: roll back and forget the work. Raises EnhancingStopped: roll back and give it back.
    """
    return fenced_at(session, held)[0]


def fenced_at(session: Session, held: Claim) -> tuple[Enhancement, datetime]:
    """As `fenced`, with the time on the database's clock."""
    row, is_stopped, at = _mine(session, held)
    if is_stopped:
        raise EnhancingStopped("enhancing was stopped")
    return row, at


def _mine(session: Session, held: Claim) -> Row[Enhancement, bool, datetime]:
    found = enhancements.fenced(session, held.enhancement_id, held.attempt, held.worker)
    if found is None:
        raise _stale(held)
    return found


def _stale(held: Claim) -> StaleAttempt:
    return StaleAttempt(f"attempt {held.attempt} of enhancement {held.enhancement_id} no longer counts")


def finish(session: Session, row: Enhancement, state: str, reason: str, node: str) -> None:
    """A running piece of work reached a final state; writes the audit event of the same name."""
    for name, value in _ending(row, state, reason, database_now(session)).items():
        setattr(row, name, value)
    write(session, _finished(row, node))


def finish_and_claim(
    session: Session,
    row: Enhancement,
    state: str,
    reason: str,
    node: str,
    *,
    at: datetime,
    worker: str,
    lease_seconds: float,
    shut: int = enhancements.NOTHING_SHUT,
) -> Claim | None:
    """`finish`, and `claim` for the same worker in the same transaction: a job costs one commit instead of two."""
    ending = _ending(row, state, reason, at)
    taken = enhancements.finish_and_take(session, row, ending, worker, lease_seconds, shut)
    claimed, events = _claimed(taken, worker, node)
    write(session, _finished(row, node), *events)
    return claimed and replace(claimed, is_next=True)


def _ending(row: Enhancement, state: str, reason: str, at: datetime) -> dict[str, Any]:
    """What the row says once its work is over; the columns `enhancements.ENDING`. Who had it last stays written."""
    if row.state not in ENHANCEMENT.before(state):
        raise StaleAttempt(f"enhancement {row.id} is {row.state}, not to become {state}")
    failures = 0 if state == "done" else row.failures
    ending = (state, reason, at, failures, row.worker, None)
    return dict(zip(enhancements.ENDING, ending, strict=True))


def _finished(row: Enhancement, node: str) -> Event:
    return event(
        f"enhancement.{row.state}",
        row.reason or f"{row.pipeline} is done",
        node=node,
        outcome="success" if row.state == "done" else "failure",
        series_uid=row.series_uid,
        subject=subject_of(row.id),
        detail={"attempt": row.attempt, "verdict": row.verdict, "figures": row.figures, "measured": row.measured},
    )


def fail_attempt(session: Session, row: Enhancement, reason: str, policy: RetryPolicy, node: str) -> None:
    """This attempt failed: try again after a pause, or set the work aside when it failed too often.

    That a generation failed is nothing against a newer one, which has yet to be tried.
    """
    row.failures = 0 if is_outrun(row) else row.failures + 1
    if row.failures >= policy.max_attempts:
        finish(session, row, "failed", f"set aside after {row.failures} attempts: {reason}", node)
        return
    release(session, row, reason, pause=policy.retry_seconds)
    record(
        session,
        "enhancement.attempt_failed",
        f"attempt {row.attempt} failed: {reason}",
        node=node,
        outcome="failure",
        series_uid=row.series_uid,
        subject=subject_of(row.id),
        detail={"attempt": row.attempt, "failures": row.failures, "of": policy.max_attempts},
    )


def release(session: Session, row: Enhancement, reason: str, pause: float = 0.0) -> None:
    """Give running work back, to be claimed again after `pause` seconds."""
    row.state, row.worker, row.lease_until, row.reason = "ready", "", None, reason
    row.not_before = database_now(session) + timedelta(seconds=pause)


def gives_way(session: Session, row: Enhancement, held: Claim, outcome: str, node: str) -> bool:
    """Whether a new generation was asked for while this attempt ran. Then its end is not that of the work, which goes
    back for what it lacks; `outcome` says what became of the generation that it was of."""
    if row.generation <= held.generation:
        return False
    release(session, row, f"instances came while it ran and are still to be enhanced; of those before: {outcome}")
    _given_back(session, row, row.reason, node)
    return True


def give_back(session: Session, held: Claim, reason: str, node: str, pause: float = 0.0) -> None:
    """The worker cannot go on, which is not the work's fault: it waits as before. Raises StaleAttempt."""
    row, *_ = _mine(session, held)
    release(session, row, reason, pause)
    _given_back(session, row, f"{held.worker} gave it back: {reason}", node)


def _given_back(session: Session, row: Enhancement, message: str, node: str) -> None:
    record(
        session,
        "enhancement.given_back",
        message,
        node=node,
        series_uid=row.series_uid,
        subject=subject_of(row.id),
        detail={"attempt": row.attempt, "stage": row.stage},
    )


def attempt_failed(session: Session, held: Claim, reason: str, policy: RetryPolicy, node: str) -> None:
    """The attempt in hand failed. Raises StaleAttempt."""
    row, *_ = _mine(session, held)
    fail_attempt(session, row, reason, policy, node)


def reap(session: Session, policy: RetryPolicy, node: str, others_after: float = 0.0) -> list[str]:
    """Fail the attempts whose lease ran out (`_lose`), and expire work whose deadline passed unstarted; some of each.

    Returns the workers that held the lapsed leases: they hang, and whoever started them ends them. So that it is this
    one who learns of it, others wait for `others_after` seconds.
    """
    now = database_now(session)
    lapsed = enhancements.lapsed(session, now, REAPED_AT_ONCE, f"{node}/", others_after)
    hanging = [row.worker for row in lapsed]
    for row in lapsed:
        _lose(session, row, f"{row.worker} stopped renewing its lease", policy, node)
    for row in enhancements.past_deadline(session, now, REAPED_AT_ONCE):
        finish(session, row, "expired", "the deadline passed before it could start: originals only", node)
    return hanging


def anything_to_reap(session: Session, node: str = "", others_after: float = 0.0) -> bool:
    """Whether `reap` would find something; a read."""
    return enhancements.anything_overdue(session, database_now(session), f"{node}/", others_after)


def node_restarted(session: Session, prefix: str, policy: RetryPolicy, node: str) -> int:
    """This node's workers (names under `prefix`) ended with its earlier life. Returns how many attempts failed."""
    rows = enhancements.running_under(session, prefix)
    return sum(_lose(session, row, "the node stopped in the middle of it", policy, node) for row in rows)


def worker_died(session: Session, worker: str, reason: str, policy: RetryPolicy, node: str) -> int:
    """A worker process ended. Returns how many attempts failed with it: none, if it died between two jobs."""
    rows = enhancements.running_on(session, worker)
    return sum(_lose(session, row, reason, policy, node) for row in rows)


def _lose(session: Session, row: Enhancement, reason: str, policy: RetryPolicy, node: str) -> bool:
    """Whoever had it is gone. Whether that is a failed attempt: what never began goes back, and no one is to blame."""
    if row.stage != enhancements.NEXT:
        fail_attempt(session, row, reason, policy, node)
        return True
    release(session, row, f"{row.worker} had not begun it: {reason}")
    _given_back(session, row, row.reason, node)
    row.stage = enhancements.RETURNED
    return False
