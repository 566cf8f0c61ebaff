"""The ledger: claim, lease, fence, commit. Every function runs in the caller's transaction.

A claim raises `attempt`, which fences everything after it: a worker that was paused past its lease finds its attempt
out of date and can change nothing. Leases are compared on the database's clock alone.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row
from sqlalchemy.orm import Session

from dicomnode.audit.events import Event, event, record, write
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements, holds
from dicomnode.domain.recipe import Recipe, canonical_json
from dicomnode.domain.states import ENHANCEMENT

PRIORITIES = {"stat": 0, "normal": 1, "off-peak": 2}
REAPED_AT_ONCE = 500
"""How many rows of a kind `reap` takes: no transaction should keep others waiting for long."""

SHADOW_PRIORITY = 3
"""Work that only a shadow rule asks for goes last."""


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


@dataclass(frozen=True)
class Work:
    """What a rule asks for. `per_generation`: a new generation is new work (pipelines of scope "volume")."""

    series_uid: str
    generation: int
    recipe: Recipe
    priority: int
    per_generation: bool = False
    deadline_at: datetime | None = None

    @property
    def key(self) -> str:
        """What makes it the same work, whoever asks: SHA-256 (hex)."""
        identity = [self.series_uid, self.recipe.canonical(), self.generation if self.per_generation else 0]
        return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


@dataclass(frozen=True)
class RetryPolicy:
    """How often work is tried, and how long a failed attempt waits."""

    max_attempts: int = 3
    retry_seconds: float = 5.0


def enter(session: Session, work: Work, node: str, now: datetime) -> Enhancement:
    """Enter work into the ledger, once. Known work that a new generation touches is made ready for what it lacks.

    A deadline counts from the completion of the newest generation; of several rules that ask for the same work, the
    latest deadline holds, and none where one of them has none.
    """
    row = enhancements.by_key(session, work.key)
    if row is None:
        if enhancements.add(session, created := _new(work, now)):
            _record_created(session, created, work.recipe, node)
            return created
        row = enhancements.by_key(session, work.key)  # another node entered it at this moment
        assert row is not None
    row = _instead(session, row)
    row.priority = min(row.priority, work.priority)
    if row.generation < work.generation:
        row.generation, row.deadline_at = work.generation, work.deadline_at
        if row.state in ("done", "withheld", "failed", "expired"):
            row.state, row.failures, row.not_before = "ready", 0, now
            row.reason = f"generation {work.generation} of the series is complete"
    elif row.deadline_at is not None:
        row.deadline_at = max(row.deadline_at, work.deadline_at) if work.deadline_at else None
    return row


def _instead(session: Session, row: Enhancement) -> Enhancement:
    """The work that operators had done instead of this, if they had; locked."""
    while row.rerouted_to is not None:
        row = enhancements.locked(session, row.rerouted_to)
    return row


def _new(work: Work, now: datetime) -> Enhancement:
    recipe = work.recipe
    return Enhancement(
        key=work.key,
        series_uid=work.series_uid,
        generation=work.generation,
        pipeline=recipe.pipeline,
        version=recipe.version,
        weights_sha256=recipe.weights_sha256,
        params=dict(recipe.params),
        writer_profile=dict(recipe.writer_profile),
        state="ready",
        priority=work.priority,
        not_before=now,
        deadline_at=work.deadline_at,
        created_at=now,
    )


def _record_created(session: Session, row: Enhancement, recipe: Recipe, node: str) -> None:
    record(
        session,
        "enhancement.created",
        f"{recipe.pipeline} {recipe.version} is to be run",
        node=node,
        series_uid=row.series_uid,
        subject=subject_of(row.id),
        detail={"recipe": recipe.digest(), "generation": row.generation, "params": dict(recipe.params)},
    )


def claim(
    session: Session, worker: str, node: str, lease_seconds: float, *, shut: int = enhancements.NOTHING_SHUT
) -> Claim | None:
    """Take the most urgent piece of work, or None. Call it in a write transaction.

    Nothing is taken while enhancing is stopped or jobs are paused, and nothing of the priority `shut`.
    """
    claimed, events = _claim(session, worker, node, lease_seconds, shut)
    if events:
        write(session, *events)
    return claimed


def _claim(
    session: Session, worker: str, node: str, lease_seconds: float, shut: int
) -> tuple[Claim | None, list[Event]]:
    taken = enhancements.take(session, worker, lease_seconds, shut)
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
    write(session, _finish(row, state, reason, node, database_now(session)))


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
    finished = _finish(row, state, reason, node, at)
    claimed, events = _claim(session, worker, node, lease_seconds, shut)
    write(session, finished, *events)
    return claimed


def _finish(row: Enhancement, state: str, reason: str, node: str, at: datetime) -> Event:
    if row.state not in ENHANCEMENT.before(state):
        raise StaleAttempt(f"enhancement {row.id} is {row.state}, not to become {state}")
    row.state, row.reason, row.finished_at = state, reason, at
    row.lease_until, row.worker = None, ""
    if state == "done":
        row.failures = 0
    return event(
        f"enhancement.{state}",
        reason or f"{row.pipeline} is done",
        node=node,
        outcome="success" if state == "done" else "failure",
        series_uid=row.series_uid,
        subject=subject_of(row.id),
        detail={"attempt": row.attempt, "verdict": row.verdict, "figures": row.figures, "measured": row.measured},
    )


def fail_attempt(session: Session, row: Enhancement, reason: str, policy: RetryPolicy, node: str) -> None:
    """This attempt failed: try again after a pause, or set the work aside when it failed too often."""
    row.failures += 1
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


def give_back(session: Session, held: Claim, reason: str, node: str, pause: float = 0.0) -> None:
    """The worker cannot go on, which is not the work's fault: it waits as before. Raises StaleAttempt."""
    row, *_ = _mine(session, held)
    release(session, row, reason, pause)
    record(
        session,
        "enhancement.given_back",
        f"{held.worker} gave it back: {reason}",
        node=node,
        series_uid=row.series_uid,
        subject=subject_of(row.id),
        detail={"attempt": held.attempt, "stage": row.stage},
    )


def attempt_failed(session: Session, held: Claim, reason: str, policy: RetryPolicy, node: str) -> None:
    """The attempt in hand failed. Raises StaleAttempt."""
    row, *_ = _mine(session, held)
    fail_attempt(session, row, reason, policy, node)


def reap(session: Session, policy: RetryPolicy, node: str, others_after: float = 0.0) -> list[str]:
    """Fail the attempts whose lease ran out, and expire work whose deadline passed before it began; some of each.

    Returns the workers that held the lapsed leases: they hang, and whoever started them ends them. So that it is this
    one who learns of it, others wait for `others_after` seconds.
    """
    now = database_now(session)
    lapsed = enhancements.lapsed(session, now, REAPED_AT_ONCE, f"{node}/", others_after)
    hanging = [row.worker for row in lapsed]
    for row in lapsed:
        fail_attempt(session, row, f"{row.worker} stopped renewing its lease", policy, node)
    for row in enhancements.past_deadline(session, now, REAPED_AT_ONCE):
        finish(session, row, "expired", "the deadline passed before it could start: originals only", node)
    return hanging


def anything_to_reap(session: Session, node: str = "", others_after: float = 0.0) -> bool:
    """Whether `reap` would find something; a read."""
    return enhancements.anything_overdue(session, database_now(session), f"{node}/", others_after)


def node_restarted(session: Session, prefix: str, policy: RetryPolicy, node: str) -> int:
    """This node's workers (names under `prefix`) ended with its earlier life: their work is a failed attempt."""
    rows = enhancements.running_under(session, prefix)
    for row in rows:
        fail_attempt(session, row, "the node stopped in the middle of it", policy, node)
    return len(rows)


def worker_died(session: Session, worker: str, reason: str, policy: RetryPolicy, node: str) -> int:
    """A worker process ended: its running work is a failed attempt. Returns how much there was."""
    rows = enhancements.running_on(session, worker)
    for row in rows:
        fail_attempt(session, row, reason, policy, node)
    return len(rows)


def subject_of(id: int) -> str:
    """What the audit calls this piece of work."""
    return f"enhancement:{id}"
