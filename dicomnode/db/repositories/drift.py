"""Control charts of the drift watch."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicomnode.db.models import DriftState, InputStatistic

Group = tuple[str, str, str, str]
"""Scanner, kernel, protocol, pipeline."""


def chart(session: Session, group: Group, quantity: str, now: datetime) -> DriftState:
    """The chart's row, locked; a new one at the first series of its group."""
    scanner, kernel, protocol, pipeline = group
    found = session.scalar(
        select(DriftState)
        .where(
            DriftState.scanner == scanner,
            DriftState.kernel == kernel,
            DriftState.protocol == protocol,
            DriftState.pipeline == pipeline,
            DriftState.quantity == quantity,
        )
        .with_for_update()
    )
    if found is None:
        found = DriftState(
            scanner=scanner,
            kernel=kernel,
            protocol=protocol,
            pipeline=pipeline,
            quantity=quantity,
            count=0,
            mean=0.0,
            squares=0.0,
            average=0.0,
            state="learning",
            updated_at=now,
        )
        session.add(found)
    return found


def listing(session: Session) -> Sequence[DriftState]:
    """All charts, by group."""
    order = (DriftState.scanner, DriftState.kernel, DriftState.protocol, DriftState.pipeline, DriftState.quantity)
    return session.scalars(select(DriftState).order_by(*order)).all()


def statistics(session: Session, group: Group) -> Sequence[InputStatistic]:
    """What the series of a group measured, the oldest first."""
    scanner, kernel, protocol, pipeline = group
    query = select(InputStatistic).where(
        InputStatistic.scanner == scanner,
        InputStatistic.kernel == kernel,
        InputStatistic.protocol == protocol,
        InputStatistic.pipeline == pipeline,
    )
    return session.scalars(query.order_by(InputStatistic.id)).all()
