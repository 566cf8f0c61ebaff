"""Who sent what when, by the series that came."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Series


def heard(session: Session, begin: datetime, end: datetime) -> set[str]:
    """Calling AE titles of the series of which the last instance came within [begin, end)."""
    query = select(Series.calling_aet).where(Series.last_arrival_at >= begin, Series.last_arrival_at < end)
    return set(session.scalars(query.distinct()))


def last_heard(session: Session, calling_aet: str) -> datetime | None:
    """When something came from there last."""
    return session.scalar(select(func.max(Series.last_arrival_at)).where(Series.calling_aet == calling_aet))
