"""Deliveries as people look for them: filtered, page by page, with the counts of their instances."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery, DeliveryItem, Series
from dicomnode.db.repositories import by_number
from dicomnode.db.repositories.by_number import Part

_OPEN = ("pending", "sending")
_ID: ColumnElement[int] = Delivery.metadata.tables[Delivery.__tablename__].c.id
_ITEM = DeliveryItem.metadata.tables[DeliveryItem.__tablename__].c


@dataclass(frozen=True)
class DeliveryFilter:
    """What a delivery has to be; an empty field asks for nothing. `up_to`: none that was planned after this one.

    `given_up`: only those whose destination took them and is not asked any more whether it keeps them, nobody knowing.
    """

    states: tuple[str, ...] = ()
    destination: str = ""
    series: str = ""
    rule: str = ""
    up_to: int | None = None
    given_up: bool = False


class Listed(NamedTuple):
    """A delivery in a list, and what its series is."""

    delivery: Delivery
    modality: str
    description: str


def page(session: Session, wanted: DeliveryFilter, limit: int, before: int | None = None) -> Sequence[Listed]:
    """The newest first, `limit` of them, beginning below the number `before`."""
    ids = by_number.newest(session, Delivery.id, _parts(wanted), limit, before)
    query = (
        select(Delivery, Series.modality, Series.description)
        .join(Series, Series.uid == Delivery.series_uid)
        .where(Delivery.id.in_(ids))
        .order_by(Delivery.id.desc())
    )
    return [Listed(*row) for row in session.execute(query)]


def numbers(session: Session, wanted: DeliveryFilter) -> Sequence[int]:
    """The numbers of all that fit, the oldest first."""
    return by_number.every(session, Delivery.id, _parts(wanted))


def instances(session: Session, delivery_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """The number of instances by state, of each of these deliveries."""
    found: dict[int, dict[str, int]] = {id: {} for id in delivery_ids}
    query = select(DeliveryItem.delivery_id, DeliveryItem.state, func.count())
    query = query.where(DeliveryItem.delivery_id.in_(delivery_ids))
    for id, state, count in session.execute(query.group_by(DeliveryItem.delivery_id, DeliveryItem.state)):
        found[id][state] = count
    return found


def items(
    session: Session, delivery_id: int, limit: int, after: int | None = None, state: str = ""
) -> Sequence[DeliveryItem]:
    """Instances of a delivery in the order they were planned in, `limit` of them, beginning behind `after`.

    By the index of the delivery's instances: a planner that sees that numbers are wanted in order may walk along those
    of all deliveries until it comes to these.
    """
    number = _ITEM.id + 0
    query = select(_ITEM.id).where(_ITEM.delivery_id == delivery_id).order_by(number).limit(limit)
    if after is not None:
        query = query.where(number > after)
    if state:
        query = query.where(_ITEM.state == state)
    ids = session.scalars(query).all()
    return session.scalars(select(DeliveryItem).where(DeliveryItem.id.in_(ids)).order_by(DeliveryItem.id)).all()


def _parts(wanted: DeliveryFilter) -> list[Part]:
    """What is open is few; the rest has its rows in the order of their numbers in an index."""
    named = {
        Delivery.destination: wanted.destination,
        Delivery.series_uid: wanted.series,
        Delivery.rule: wanted.rule,
    }
    others = by_number.equal(named)
    if wanted.up_to is not None:
        others.append(Delivery.id <= wanted.up_to)
    if wanted.given_up:
        others += [Delivery.confirm_at.is_(None), Delivery.confirmation != literal_column("''")]
    states = [by_number.in_state(Delivery.state, state, _OPEN) for state in dict.fromkeys(wanted.states)]
    return [Part([state, *others], _ID) for state in states] or [Part(others, _ID)]
