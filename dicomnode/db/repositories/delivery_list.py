"""Deliveries as people look for them: filtered, page by page, with the counts of their instances."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery, DeliveryItem, Series

_OPEN = ("pending", "sending")
_OVER = (Delivery.state != literal_column("'pending'")) & (Delivery.state != literal_column("'sending'"))
_ITEM = DeliveryItem.metadata.tables[DeliveryItem.__tablename__].c


@dataclass(frozen=True)
class DeliveryFilter:
    """What a delivery has to be; an empty field asks for nothing. `up_to`: none that was planned after this one."""

    states: tuple[str, ...] = ()
    destination: str = ""
    series: str = ""
    rule: str = ""
    up_to: int | None = None


class Listed(NamedTuple):
    """A delivery in a list, and what its series is."""

    delivery: Delivery
    modality: str
    description: str


def page(session: Session, wanted: DeliveryFilter, limit: int, before: int | None = None) -> Sequence[Listed]:
    """The newest first, `limit` of them, beginning below the number `before`.

    Numbers first, then what belongs to them: most filters are answered from an index alone.
    """
    ids: list[int] = []
    for part in _parts(wanted):
        query = select(Delivery.id).where(*part).order_by(Delivery.id.desc()).limit(limit)
        ids += session.scalars(query if before is None else query.where(Delivery.id < before))
    query_of_rows = (
        select(Delivery, Series.modality, Series.description)
        .join(Series, Series.uid == Delivery.series_uid)
        .where(Delivery.id.in_(sorted(ids, reverse=True)[:limit]))
        .order_by(Delivery.id.desc())
    )
    return [Listed(*row) for row in session.execute(query_of_rows)]


def numbers(session: Session, wanted: DeliveryFilter) -> Sequence[int]:
    """The numbers of all that fit, the oldest first."""
    parts = (select(Delivery.id).where(*part) for part in _parts(wanted))
    return sorted(id for part in parts for id in session.scalars(part))


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


def _parts(wanted: DeliveryFilter) -> list[list[ColumnElement[bool]]]:
    """Conditions, one list for each state: each has an index of its own, in the words of `_of_state`."""
    named = {
        Delivery.destination: wanted.destination,
        Delivery.series_uid: wanted.series,
        Delivery.rule: wanted.rule,
    }
    others: list[ColumnElement[bool]] = [column == text for column, text in named.items() if text]
    if wanted.up_to is not None:
        others.append(Delivery.id <= wanted.up_to)
    return [[_of_state(state), *others] for state in dict.fromkeys(wanted.states)] or [others]


def _of_state(state: str) -> ColumnElement[bool]:
    """What is open is few; the rest has its rows in the order of their numbers in an index."""
    if state in _OPEN:
        return Delivery.state == literal_column(f"'{state}'")
    return (Delivery.state == state) & _OVER
