"""Claims on deliveries: taken, renewed and given up by conditional statements, on the database's clock."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Float, Select, bindparam, exists, literal_column, or_, select, tuple_, update
from sqlalchemy.orm import Session

from dicomnode.db.clock import Clock
from dicomnode.db.models import Delivery, Hold
from dicomnode.db.repositories.holds import DESTINATION, ENHANCING, is_held


class Claimed(NamedTuple):
    """A delivery in a sender's hand. `number` is the claim's: what comes of it counts while the row has the same.

    is_derived  it is of a derived series, not of originals, nor a rejection note
    """

    id: int
    number: int
    priority: int
    is_derived: bool


_ROW = Delivery.metadata.tables[Delivery.__tablename__].c

_PENDING = _ROW.state == literal_column("'pending'")
_SENDING = _ROW.state == literal_column("'sending'")
"""In the words of the partial indexes: neither database uses one for a state that is a parameter."""

_PAUSED = exists().where(Hold.kind == DESTINATION, Hold.name == bindparam("to"))
_IS_DERIVED = _ROW.subject.like("enhancement:%")
_MAY_GO = or_(~_IS_DERIVED, ~is_held(ENHANCING))
"""The stop switch holds back what was derived. Originals flow, and notes that reject what is out already."""

_DUE = (
    select(_ROW.id, _ROW.priority)
    .where(_ROW.destination == bindparam("to"), _PENDING, _ROW.not_before <= Clock(), ~_PAUSED, _MAY_GO)
    .order_by(_ROW.priority, _ROW.not_before, _ROW.id)
    .limit(1)
)

_LEASE = Clock(bindparam("lease", type_=Float))

_TAKE = (
    update(_ROW.id.table)
    .where(_ROW.id == _DUE.with_only_columns(_ROW.id).with_for_update(skip_locked=True).scalar_subquery())
    .values(state="sending", node=bindparam("by"), lease_until=_LEASE, claim=_ROW.claim + 1)
    .returning(_ROW.id, _ROW.claim, _ROW.priority, _IS_DERIVED)
)


def most_urgent(session: Session, destination: str) -> int | None:
    """Priority of the delivery that would be taken next; None: nothing is due, or the destination is paused."""
    found = session.connection().execute(_DUE, {"to": destination}).first()
    return None if found is None else int(found.priority)


def take(session: Session, destination: str, node: str, lease_seconds: float) -> Claimed | None:
    """The most urgent delivery that is due is this node's, in one statement.

    What another transaction takes at the same moment is passed over, so that nodes never wait for each other.
    """
    values = {"to": destination, "by": node, "lease": lease_seconds}
    row = session.connection().execute(_TAKE, values).one_or_none()
    return None if row is None else Claimed(*row)


def anything_sending(session: Session, destination: str) -> bool:
    """Whether any node has a delivery to this destination in hand."""
    query = select(_ROW.id).where(_SENDING, _ROW.destination == destination).limit(1)
    return session.connection().execute(query).first() is not None


def standing(session: Session, claims: Collection[tuple[int, int]]) -> set[int]:
    """Of claims as (id, number): the ids of those that nobody took over, cancelled or sent elsewhere."""
    return set(session.scalars(select(_ROW.id).where(_are(claims))))


def renew(session: Session, claims: Collection[tuple[int, int]], lease_seconds: float) -> set[int]:
    """The leases of those claims that still stand begin anew. Returns their ids."""
    query = update(_ROW.id.table).where(_are(claims)).values(lease_until=_LEASE).returning(_ROW.id)
    return set(session.connection().execute(query, {"lease": lease_seconds}).scalars())


def fenced(session: Session, claimed: Claimed) -> Delivery | None:
    """The row, locked, if this claim is still the one that counts."""
    query = select(Delivery).where(Delivery.id == claimed.id, Delivery.claim == claimed.number, _SENDING)
    return session.scalar(_locked(query))


def anything_lapsed(session: Session, destination: str) -> bool:
    """Whether `lapsed` would find something; a read."""
    return session.connection().execute(select(_ROW.id).where(_lapsed(destination)).limit(1)).first() is not None


def lapsed(session: Session, destination: str, own: Collection[int] = ()) -> Sequence[Delivery]:
    """Deliveries whose lease has run out, locked; what another node looks after already is left to it.

    `own`: those that the asking sender itself has in hand, and will conclude.
    """
    query = select(Delivery).where(_lapsed(destination), Delivery.id.not_in(own)).order_by(Delivery.id)
    return session.scalars(_locked(query, skip=True)).all()


def sent_by(session: Session, node: str) -> Sequence[Delivery]:
    """Deliveries that a node has in hand, locked. Those of a schema before leases are nobody's: anybody's."""
    query = select(Delivery).where(_SENDING, Delivery.node.in_((node, ""))).order_by(Delivery.id)
    return session.scalars(_locked(query)).all()


def _lapsed(destination: str) -> ColumnElement[bool]:
    over = or_(_ROW.lease_until.is_(None), _ROW.lease_until < Clock())
    return _SENDING & (_ROW.destination == destination) & over


def _are(claims: Collection[tuple[int, int]]) -> ColumnElement[bool]:
    return _SENDING & tuple_(_ROW.id, _ROW.claim).in_(sorted(claims))


def _locked(query: Select[Delivery], skip: bool = False) -> Select[Delivery]:
    return query.with_for_update(skip_locked=skip).execution_options(populate_existing=True)
