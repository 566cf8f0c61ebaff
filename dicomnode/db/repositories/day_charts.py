"""Figures of a day from the rows' own times: nothing is collected beside them that could disagree."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicomnode.db.minute import Minute, instant_of
from dicomnode.db.models import Delivery, Enhancement, Series
from dicomnode.domain.states import DELIVERED

OPEN = ("ready", "running")
"""States of work that is in the queue."""


def created(session: Session, since: datetime) -> dict[datetime, int]:
    """Jobs entered into the ledger, by the minute."""
    return _by_minute(session, Enhancement.created_at, Enhancement.created_at >= since)


def finished(session: Session, since: datetime) -> dict[datetime, int]:
    """Jobs that ended and were not begun anew, by the minute of their end."""
    over = Enhancement.state.not_in(OPEN)
    return _by_minute(session, Enhancement.finished_at, (Enhancement.finished_at >= since) & over)


def ways(session: Session, since: datetime, limit: int) -> Sequence[tuple[datetime, float]]:
    """(when, seconds) of each derived series that a destination took since then, the newest first.

    The seconds are those from the last instance of its source until the destination had answered for all of it. One
    whose source has had a late instance since is left out: when its last one came is no longer known.
    """
    query = (
        select(Delivery.finished_at, Series.last_arrival_at)
        .join(Series, Series.uid == Delivery.series_uid)
        .where(Delivery.finished_at >= since, Delivery.enhancement_id.is_not(None), Delivery.state.in_(DELIVERED))
        .where(Series.last_arrival_at <= Delivery.finished_at)
        .order_by(Delivery.finished_at.desc())
        .limit(limit)
    )
    return [(at, (at - last).total_seconds()) for at, last in session.execute(query) if at is not None]


def _by_minute(session: Session, column: InstrumentedAttribute[Any], where: ColumnElement[bool]) -> dict[datetime, int]:
    minute = Minute(column).label("minute")
    query = select(minute, func.count()).where(where).group_by(minute)
    return {instant_of(row[0]): row[1] for row in session.execute(query)}
