"""Deliveries and their instances."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery, DeliveryItem
from dicomnode.domain.instance import Location


class OpenItem(NamedTuple):
    """What is needed of a `DeliveryItem` to send it; a tuple, for there are ten thousand of them."""

    id: int
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    container: str
    offset: int
    length: int
    attempts: int


class Answer(NamedTuple):
    """What a destination said of one instance: the item's new state and `DeliveryItem`'s columns of these names."""

    item_id: int
    sop_uid: str
    state: str
    status: int | None
    detail: str
    attempts: int


_ITEMS = DeliveryItem.metadata.tables[DeliveryItem.__tablename__]
_RECORD_ANSWER = (
    update(_ITEMS)
    .where(_ITEMS.c.id == bindparam("of_item"), _ITEMS.c.sop_uid == bindparam("of_uid"), _ITEMS.c.state == "pending")
    .where(_ITEMS.c.attempts < bindparam("of_attempt"))
    .values({name: bindparam(f"new_{name}") for name in ("state", "status", "detail", "attempts", "sent_at")})
)


def find(session: Session, id: int) -> Delivery | None:
    return session.get(Delivery, id)


def by_subject(session: Session, destination: str, subject: str) -> Delivery | None:
    query = select(Delivery).where(Delivery.destination == destination, Delivery.subject == subject)
    return session.scalar(query)


def locations(session: Session, delivery_id: int, sop_uids: Sequence[str]) -> dict[str, Location]:
    """Where the bytes of each of these instances lie that is planned already, by its UID."""
    found: dict[str, Location] = {}
    columns = (DeliveryItem.sop_uid, DeliveryItem.container, DeliveryItem.offset, DeliveryItem.length)
    for start in range(0, len(sop_uids), 500):
        chunk = DeliveryItem.sop_uid.in_(sop_uids[start : start + 500])
        query = select(*columns).where(DeliveryItem.delivery_id == delivery_id, chunk)
        for sop_uid, container, offset, length in session.execute(query):
            found[sop_uid] = Location(container, offset, length)
    return found


def insert_items(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Instances of deliveries, by column; what is left out takes its default. They are not objects of the session."""
    if rows:
        session.connection().execute(insert(_ITEMS), rows)


def due(session: Session, destination: str, now: datetime) -> Delivery | None:
    """The delivery to send next: the oldest whose time has come."""
    query = (
        select(Delivery)
        .where(Delivery.destination == destination, Delivery.state == "pending", Delivery.not_before <= now)
        .order_by(Delivery.not_before, Delivery.id)
        .limit(1)
    )
    return session.scalar(query)


def open_items(session: Session, delivery_id: int) -> Sequence[OpenItem]:
    """Instances that the destination has not answered for good yet, in the order they were planned in."""
    query = select(*(_ITEMS.c[name] for name in OpenItem._fields))
    query = query.where(_ITEMS.c.delivery_id == delivery_id, _ITEMS.c.state == "pending")
    return [OpenItem(*row) for row in session.execute(query.order_by(_ITEMS.c.id))]


def counts(session: Session, delivery_id: int) -> dict[str, int]:
    """Number of instances by state."""
    query = select(DeliveryItem.state, func.count()).where(DeliveryItem.delivery_id == delivery_id)
    return dict(session.execute(query.group_by(DeliveryItem.state)).all())


def record_answers(session: Session, answers: Sequence[Answer]) -> None:
    """Write down answers, in one statement. What is known already changes nothing: a final answer, an older attempt."""
    instant = database_now(session)
    rows = [
        {
            "of_item": answer.item_id,
            "of_uid": answer.sop_uid,
            "of_attempt": answer.attempts,
            "new_state": answer.state,
            "new_status": answer.status,
            "new_detail": answer.detail,
            "new_attempts": answer.attempts,
            "new_sent_at": instant if answer.state == "sent" else None,
        }
        for answer in answers
    ]
    session.connection().execute(_RECORD_ANSWER, rows)


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
