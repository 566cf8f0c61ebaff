"""Deliveries as people look for them: filtered, page by page, with the counts of their instances."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery, DeliveryItem, Series

PARTIAL = ("pending", "sending")
"""States that have an index of their own."""


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
    """The newest first, `limit` of them, beginning below the number `before`."""
    query = select(Delivery, Series.modality, Series.description).join(Series, Series.uid == Delivery.series_uid)
    query = query.order_by(Delivery.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Delivery.id < before)
    found = [Listed(*row) for part in _parts(wanted) for row in session.execute(query.where(*part))]
    return sorted(found, key=lambda row: -row.delivery.id)[:limit]


def numbers(session: Session, wanted: DeliveryFilter, limit: int | None = None) -> Sequence[int]:
    """The numbers of all that fit, the oldest first; `limit` of them at most."""
    query: Select[int] = select(Delivery.id).order_by(Delivery.id).limit(limit)
    return sorted(id for part in _parts(wanted) for id in session.scalars(query.where(*part)))[:limit]


def newest(session: Session) -> int:
    """The number of the newest delivery; 0: there is none."""
    return session.scalar(select(func.max(Delivery.id))) or 0


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
    """Instances of a delivery in the order they were planned in, `limit` of them, beginning behind `after`."""
    query = select(DeliveryItem).where(DeliveryItem.delivery_id == delivery_id)
    if after is not None:
        query = query.where(DeliveryItem.id > after)
    if state:
        query = query.where(DeliveryItem.state == state)
    return session.scalars(query.order_by(DeliveryItem.id).limit(limit)).all()


def _parts(wanted: DeliveryFilter) -> list[list[Any]]:
    """Conditions, one list for each state, in the words of the index where it has one of its own."""
    named = {
        Delivery.destination: wanted.destination,
        Delivery.series_uid: wanted.series,
        Delivery.rule: wanted.rule,
    }
    others: list[Any] = [column == text for column, text in named.items() if text]
    if wanted.up_to is not None:
        others.append(Delivery.id <= wanted.up_to)
    states = dict.fromkeys(wanted.states)
    return [[Delivery.state == (literal_column(f"'{s}'") if s in PARTIAL else s), *others] for s in states] or [others]
