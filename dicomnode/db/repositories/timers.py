"""Columns that say until when something waits, and how far ahead each may lie at most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicomnode.db.clock import Clock
from dicomnode.db.models import (
    CommitmentRequest,
    Delivery,
    Enhancement,
    HeadStart,
    NodeRow,
    Outage,
    Outdating,
    Series,
)


@dataclass(frozen=True)
class Timer:
    """One column of the rows that `waits` describes. `name` is what its bound is called, and what is told of it.

    `again`: what lies too far ahead waits for its whole bound once more (a lease, a quiet time), else not at all.
    """

    name: str
    column: InstrumentedAttribute[Any]
    waits: ColumnElement[bool]
    again: bool = False

    def beyond(self, bound: float, margin: float) -> ColumnElement[bool]:
        """Rows that wait longer than `bound` seconds from now, and `margin` more."""
        return self.waits & (self.column > Clock(bound + margin))


TIMERS: Sequence[Timer] = (
    Timer("completion", Series.due_at, Series.state == "receiving", again=True),
    Timer("completion", Series.quiet_at, Series.state == "receiving", again=True),
    Timer("retry", Enhancement.not_before, Enhancement.state == "ready"),
    Timer("lease", Enhancement.lease_until, Enhancement.state == "running", again=True),
    Timer("delivery", Delivery.not_before, Delivery.state == "pending"),
    Timer("delivery lease", Delivery.lease_until, Delivery.state == "sending", again=True),
    Timer("confirmation", Delivery.confirm_at, Delivery.confirm_at.is_not(None)),
    Timer("outage", Outage.next_at, Outage.next_at.is_not(None)),
    Timer("commitment", CommitmentRequest.due_at, CommitmentRequest.due_at.is_not(None)),
    Timer("head start", HeadStart.lease_until, HeadStart.lease_until.is_not(None), again=True),
    Timer("rejection note", Outdating.note_due_at, Outdating.note_due_at.is_not(None)),
    Timer("sign of life", NodeRow.seen_at, NodeRow.stopped_at.is_(None)),
)


def any_beyond(session: Session, bounds: Mapping[str, float], margin: float) -> bool:
    """Whether anything waits for longer than it ever has to; a read. `bounds`: seconds, by `Timer.name`."""
    found = [exists().where(timer.beyond(bounds[timer.name], margin)) for timer in TIMERS]
    return any(session.scalar(select(each)) for each in found)


def bring_back(session: Session, bounds: Mapping[str, float], margin: float) -> dict[str, int]:
    """Nothing waits for longer than it ever has to. Returns how many rows were changed, by `Timer.name`."""
    changed: dict[str, int] = {}
    for timer in TIMERS:
        bound = bounds[timer.name]
        values = {timer.column: Clock(bound if timer.again else 0.0)}
        query = update(timer.column.class_).where(timer.beyond(bound, margin)).values(values)
        rows = session.execute(query, execution_options={"synchronize_session": False}).rowcount  # type: ignore[attr-defined]
        if rows:
            changed[timer.name] = changed.get(timer.name, 0) + rows
    return changed
