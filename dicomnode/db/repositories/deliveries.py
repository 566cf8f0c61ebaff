"""Deliveries and their instances."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery, DeliveryItem
from dicomnode.domain.instance import Location


def find(session: Session, id: int) -> Delivery | None:
    return session.get(Delivery, id)


def by_subject(session: Session, destination: str, subject: str) -> Delivery | None:
    query = select(Delivery).where(Delivery.destination == destination, Delivery.subject == subject)
    return session.scalar(query)


def locations(session: Session, delivery_id: int) -> dict[str, Location]:
    """Where the bytes of each instance lie that is planned already, by its UID."""
    query = select(DeliveryItem.sop_uid, DeliveryItem.container, DeliveryItem.offset, DeliveryItem.length)
    rows = session.execute(query.where(DeliveryItem.delivery_id == delivery_id))
    return {sop_uid: Location(container, offset, length) for sop_uid, container, offset, length in rows}


def due(session: Session, destination: str, now: datetime) -> Delivery | None:
    """The delivery to send next: the oldest whose time has come."""
    query = (
        select(Delivery)
        .where(Delivery.destination == destination, Delivery.state == "pending", Delivery.not_before <= now)
        .order_by(Delivery.not_before, Delivery.id)
        .limit(1)
    )
    return session.scalar(query)


def open_items(session: Session, delivery_id: int) -> Sequence[DeliveryItem]:
    """Instances that the destination has not answered for good yet."""
    query = select(DeliveryItem).where(DeliveryItem.delivery_id == delivery_id, DeliveryItem.state == "pending")
    return session.scalars(query.order_by(DeliveryItem.id)).all()


def counts(session: Session, delivery_id: int) -> dict[str, int]:
    """Number of instances by state."""
    query = select(DeliveryItem.state, func.count()).where(DeliveryItem.delivery_id == delivery_id)
    return dict(session.execute(query.group_by(DeliveryItem.state)).all())


def reopen_failed(session: Session, delivery_id: int) -> int:
    """Failed instances are pending again. Returns how many."""
    query = update(DeliveryItem).where(DeliveryItem.delivery_id == delivery_id, DeliveryItem.state == "failed")
    return int(session.execute(query.values(state="pending")).rowcount)  # type: ignore[attr-defined]


def release_interrupted(session: Session) -> int:
    """Deliveries that were being sent when the node stopped go on where they were. Returns how many."""
    query = update(Delivery).where(Delivery.state == "sending").values(state="pending", reason="the node restarted")
    return int(session.execute(query).rowcount)  # type: ignore[attr-defined]


def postpone_all(session: Session, destination: str, until: datetime, reason: str) -> None:
    """The destination cannot be reached: everything that waits for it waits, and says why."""
    query = update(Delivery).where(
        Delivery.destination == destination, Delivery.state == "pending", Delivery.not_before <= until
    )
    session.execute(query.values(not_before=until, reason=reason))


def of_series(session: Session, series_uid: str) -> Sequence[Delivery]:
    return session.scalars(select(Delivery).where(Delivery.series_uid == series_uid).order_by(Delivery.id)).all()


def items(session: Session, delivery_id: int) -> Sequence[DeliveryItem]:
    query = select(DeliveryItem).where(DeliveryItem.delivery_id == delivery_id).order_by(DeliveryItem.id)
    return session.scalars(query).all()


def listing(session: Session, limit: int, state: str | None = None) -> Sequence[Delivery]:
    """The newest first."""
    query = select(Delivery).order_by(Delivery.id.desc()).limit(limit)
    return session.scalars(query.where(Delivery.state == state) if state else query).all()


def counts_by_state(session: Session) -> dict[tuple[str, str], int]:
    query = select(Delivery.destination, Delivery.state, func.count()).group_by(Delivery.destination, Delivery.state)
    return {(destination, state): count for destination, state, count in session.execute(query)}
