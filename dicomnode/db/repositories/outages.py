"""Destinations that are down, and when each is tried next. Whoever changes it writes the audit event."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dicomnode.db.clock import Clock
from dicomnode.db.database import now
from dicomnode.db.models import Outage

_OUTAGE = Outage.metadata.tables[Outage.__tablename__]
_CLOSED = select(_OUTAGE.c.destination).where(_OUTAGE.c.destination == bindparam("to"), _OUTAGE.c.next_at > Clock())


def find(session: Session, destination: str) -> Outage | None:
    return session.scalar(select(Outage).where(Outage.destination == destination))


def lock(session: Session, destination: str) -> Outage | None:
    """The row as it is now, of this transaction until it ends: one of all nodes decides who tries next."""
    query = select(Outage).where(Outage.destination == destination)
    return session.scalar(query.with_for_update().execution_options(populate_existing=True))


def is_resting(session: Session, destination: str) -> bool:
    """Whether the destination is down and not to be tried yet."""
    return session.connection().execute(_CLOSED, {"to": destination}).first() is not None


def begin(session: Session, destination: str, kind: str, reason: str) -> Outage | None:
    """The destination is down from now on, after one attempt. None: it was already."""
    instant = now(session)
    row = Outage(destination=destination, kind=kind, reason=reason, since=instant, attempts=1, next_at=instant)
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        return None
    return row


def end(session: Session, destination: str) -> bool:
    """The destination answers. False: it was not down."""
    gone = session.scalar(delete(Outage).where(Outage.destination == destination).returning(Outage.destination))
    return gone is not None


def ask_now(session: Session, destination: str) -> bool:
    """Try it as soon as there is something to send. False: it is not down."""
    query = update(Outage).where(Outage.destination == destination).values(next_at=Clock())
    return session.scalar(query.returning(Outage.destination)) is not None


def listing(session: Session) -> Sequence[Outage]:
    """Those that are down, by name."""
    return session.scalars(select(Outage).order_by(Outage.destination)).all()
