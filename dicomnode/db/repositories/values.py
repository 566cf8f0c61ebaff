"""The values that a column has, however many rows have them: one step along its index for each value."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session


def values(session: Session, column: InstrumentedAttribute[str]) -> Sequence[str]:
    """In order, without the empty one. `column` is the first of an index."""
    steps = select(func.min(column).label("value")).where(column > "").cte("steps", recursive=True)
    onward = select(func.min(column)).where(column > steps.c.value).correlate(steps).scalar_subquery()
    steps = steps.union_all(select(onward).select_from(steps).where(steps.c.value.is_not(None)))
    return session.scalars(select(steps.c.value).where(steps.c.value.is_not(None)).order_by(steps.c.value)).all()
