"""What operators have stopped, on all nodes alike, until somebody lets it go on.

Whoever changes it writes the audit event, where the change was one.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, delete, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dicomnode.db.database import now
from dicomnode.db.models import Hold

ENHANCING = "enhancing"
"""The stop switch: nothing is enhanced and nothing derived goes out; originals flow."""
JOBS = "jobs"
"""Nothing is claimed, of one pipeline if the hold has a name; what runs goes on."""
DESTINATION = "destination"
"""Nothing is sent to the destination of that name."""


def hold(session: Session, kind: str, name: str, by: str, reason: str) -> bool:
    """Stop something. False: it was stopped already, and stays so for the reason that it was stopped for."""
    try:
        with session.begin_nested():
            session.add(Hold(kind=kind, name=name, by=by, reason=reason, since=now(session)))
            session.flush()
    except IntegrityError:
        return False
    return True


def release(session: Session, kind: str, name: str) -> bool:
    """Let it go on. False: nothing held it."""
    freed = session.scalar(delete(Hold).where(Hold.kind == kind, Hold.name == name).returning(Hold.kind))
    return freed is not None


def held(session: Session, kind: str, name: str = "") -> Hold | None:
    """The hold on exactly this, read anew."""
    query = select(Hold).where(Hold.kind == kind, Hold.name == name)
    return session.scalar(query.execution_options(populate_existing=True))


def listing(session: Session) -> Sequence[Hold]:
    """All that is held, in the order in which it was stopped."""
    return session.scalars(select(Hold).order_by(Hold.since, Hold.kind, Hold.name)).all()


def is_held(kind: str, *names: str) -> ColumnElement[bool]:
    """Part of a statement: whether any of these is held now; without names, the kind as a whole.

    A claim asks this in its own statement: who was told that something is stopped may rely on it from then on.
    """
    return exists().where(Hold.kind == kind, Hold.name.in_(names or ("",)))


def names_held(kind: str) -> Select[str]:
    """Part of a statement: the names of this kind that are held now."""
    return select(Hold.name).where(Hold.kind == kind)
