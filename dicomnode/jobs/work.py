"""Work: what rules ask for, and how it enters the ledger. Every function runs in the caller's transaction."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.domain.priority import SHADOW_PRIORITY
from dicomnode.domain.recipe import Recipe, canonical_json

_SETTLED = ("done", "withheld", "failed", "expired")
"""States that a new generation makes ready again."""


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
    def is_shadow(self) -> bool:
        """Whether a shadow rule asks: it measures, and nobody waits for what comes of it."""
        return self.priority == SHADOW_PRIORITY

    @property
    def key(self) -> str:
        """What makes it the same work, whoever asks: SHA-256 (hex)."""
        identity = [self.series_uid, self.recipe.canonical(), self.generation if self.per_generation else 0]
        return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def enter(session: Session, work: Work, node: str, now: datetime) -> Enhancement:
    """Enter work into the ledger, once. Known work that a new generation touches is made ready for what it lacks.

    A deadline counts from the completion of the newest generation; of several rules that ask for the same work, the
    latest deadline holds, and none where one of them has none. Shadow rules have no say while another waits for it.
    """
    row = enhancements.by_key(session, work.key)
    if row is None:
        if enhancements.add(session, created := _new(work, now)):
            _record_created(session, created, work.recipe, node)
            return created
        row = enhancements.by_key(session, work.key)  # another node entered it at this moment
        assert row is not None
    row = _instead(session, row)
    row.deadline_at = _deadline(row, work)
    row.priority = min(row.priority, work.priority)
    if row.generation < work.generation:
        row.generation, row.failures = work.generation, 0
        if row.state in _SETTLED:
            row.state, row.worker, row.not_before = "ready", "", now
            row.reason = f"generation {work.generation} of the series is complete"
        elif row.state == "running":
            _outrun(row, now)
    return row


def _deadline(row: Enhancement, work: Work) -> datetime | None:
    """Of a row that `work` joins. A shadow's deadline is the row's where it alone has the work done."""
    is_new = row.generation < work.generation
    if work.is_shadow and row.priority < SHADOW_PRIORITY and not (is_new and row.state in _SETTLED):
        return row.deadline_at
    if is_new or (row.priority == SHADOW_PRIORITY and not work.is_shadow):
        return work.deadline_at
    return max(row.deadline_at, work.deadline_at) if row.deadline_at and work.deadline_at else None


def _instead(session: Session, row: Enhancement) -> Enhancement:
    """The work that operators had done instead of this, if they had; locked."""
    while row.rerouted_to is not None:
        row = enhancements.locked(session, row.rerouted_to)
    return row


def _outrun(row: Enhancement, now: datetime) -> None:
    """The attempt in hand is of a generation that no longer is the newest. Who reaps it has no claim that says so."""
    row.not_before = max(now, (row.started_at or now) + timedelta(microseconds=1))


def is_outrun(row: Enhancement) -> bool:
    """Whether the work of the newest generation could begin only after this attempt had begun."""
    return row.started_at is not None and row.not_before > row.started_at


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


def subject_of(id: int) -> str:
    """What the audit calls this piece of work."""
    return f"enhancement:{id}"
