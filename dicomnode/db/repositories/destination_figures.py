"""What became of what was sent to destinations: bounded looks, along indexes, however long the node has run."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Commitment, Delivery, DeliveryItem

RECENT = 200
"""So many of the newest deliveries, or dead letters, are looked at instance by instance."""

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


def rejected(session: Session, destination: str = "") -> Sequence[Said]:
    """The instances in the newest dead letters, of all destinations or of one, by status and reason; most first."""
    newest = select(Delivery.id).where(_FAILED)
    return _said(session, newest, destination, DeliveryItem.state == "failed")


def warned(session: Session, destination: str) -> Sequence[Said]:
    """The instances in the newest deliveries that it stored with a warning, by status and reason; most first."""
    return _said(session, select(Delivery.id), destination, _WARNED)


def _said(session: Session, newest: Select[int], destination: str, which: object) -> Sequence[Said]:
    if destination:
        newest = newest.where(Delivery.destination == destination)
    recent = newest.order_by(Delivery.id.desc()).limit(RECENT).subquery()
    about = (Delivery.destination, DeliveryItem.status, DeliveryItem.detail)
    query = (
        select(*about, func.count(), func.max(Delivery.id))
        .select_from(recent)
        .join(Delivery, Delivery.id == recent.c.id)
        .join(DeliveryItem, DeliveryItem.delivery_id == recent.c.id)
        .where(which)  # type: ignore[arg-type]
        .group_by(*about)
    )
    return sorted((Said(*row) for row in session.execute(query)), key=lambda said: -said.instances)
