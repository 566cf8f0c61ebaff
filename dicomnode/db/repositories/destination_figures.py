"""What became of what was sent to destinations: bounded looks, along indexes, however long the node has run."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Commitment, Delivery, DeliveryItem

RECENT = 200
"""So many of a destination's newest deliveries are looked at for warnings, instance by instance."""
LOOKED_AT = 20_000
"""So many refused instances are looked at in all, those of the newest dead letters first."""

_FAILED = Delivery.state == literal_column("'failed'")
_WARNED = (DeliveryItem.status >= literal_column("45056")) & (DeliveryItem.status <= literal_column("49151"))


class Said(NamedTuple):
    """How many instances a destination answered in this way; `status` is None where it was not asked at all."""

    destination: str
    status: int | None
    detail: str
    instances: int
    newest: int
    """Number of the newest delivery with such an instance."""


class Rejected(NamedTuple):
    """What a destination refused for good, by status and reason, most first. `whole`: of all its dead letters."""

    said: Sequence[Said]
    whole: bool


_ABOUT = (Delivery.destination, DeliveryItem.status, DeliveryItem.detail, DeliveryItem.delivery_id)


def open_counts(session: Session, names: Collection[str]) -> dict[tuple[str, str], int]:
    """Deliveries that are not finished, and dead letters, by (destination, state)."""
    query = select(Delivery.destination, Delivery.state, func.count())
    query = query.where(Delivery.destination.in_(names), Delivery.state.in_(("pending", "sending", "failed")))
    rows = session.execute(query.group_by(Delivery.destination, Delivery.state))
    return {(destination, state): count for destination, state, count in rows}


def unreported(session: Session) -> dict[str, int]:
    """Storage commitments that a report is still waited for, by destination."""
    query = select(Commitment.destination, func.count()).where(Commitment.due_at.is_not(None))
    return dict(session.execute(query.group_by(Commitment.destination)).all())


def rejected(session: Session, destinations: Collection[str]) -> Mapping[str, Rejected]:
    """What these destinations refused for good, each by itself: none is hidden by what another refuses."""
    each = LOOKED_AT // max(len(destinations), 1)
    return {name: _rejected(session, name, each) for name in destinations}


def warned(session: Session, destination: str) -> Sequence[Said]:
    """The instances in the newest deliveries that it stored with a warning, by status and reason; most first."""
    newest = select(Delivery.id).where(Delivery.destination == destination).order_by(Delivery.id.desc()).limit(RECENT)
    return _said(session, select(*_ABOUT).join(Delivery).where(Delivery.id.in_(newest), _WARNED))


def _rejected(session: Session, destination: str, limit: int) -> Rejected:
    query = select(*_ABOUT).join(Delivery).where(Delivery.destination == destination, _FAILED)
    query = query.where(DeliveryItem.state == "failed").order_by(Delivery.id.desc()).limit(limit + 1)
    said = _said(session, query)
    return Rejected(said, sum(each.instances for each in said) <= limit)


def _said(session: Session, which: Select[str, int | None, str, int]) -> Sequence[Said]:
    seen = which.subquery().c
    about = (seen.destination, seen.status, seen.detail)
    query = select(*about, func.count(), func.max(seen.delivery_id)).group_by(*about)
    return sorted((Said(*row) for row in session.execute(query)), key=lambda said: -said.instances)
