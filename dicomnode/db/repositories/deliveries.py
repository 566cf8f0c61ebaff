"""Deliveries and their instances."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery, DeliveryItem
from dicomnode.db.repositories import outdatings
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
_WARNED = (_ITEMS.c.status >= literal_column("45056")) & (_ITEMS.c.status <= literal_column("49151"))
"""In the words of the partial index. A transient or final failure has no such status."""

_RECORD_ANSWER = (
    update(_ITEMS)
    .where(_ITEMS.c.id == bindparam("of_item"), _ITEMS.c.sop_uid == bindparam("of_uid"), _ITEMS.c.state == "pending")
    .where(_ITEMS.c.attempts < bindparam("of_attempt"))
    .values({name: bindparam(f"new_{name}") for name in ("state", "status", "detail", "attempts", "sent_at")})
)


def find(session: Session, id: int) -> Delivery | None:
    return session.get(Delivery, id)


def lock(session: Session, id: int) -> Delivery | None:
    """The row as it is now, of this transaction until it ends."""
    query = select(Delivery).where(Delivery.id == id)
    return session.scalar(query.with_for_update().execution_options(populate_existing=True))


def by_subject(session: Session, destination: str, subject: str) -> Delivery | None:
    """The row, locked: whoever adds instances to it, and whoever concludes it, sees what the other did."""
    query = select(Delivery).where(Delivery.destination == destination, Delivery.subject == subject)
    return session.scalar(query.with_for_update().execution_options(populate_existing=True))


def add(session: Session, row: Delivery) -> bool:
    """Add a new row. False: another transaction has added one of this subject since `by_subject` found none."""
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        return False
    return True


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


def open_items(session: Session, delivery_id: int) -> Sequence[OpenItem]:
    """Instances that the destination has not answered for good yet, in the order they were planned in.

    Those that were tried before come last: one over which a destination stumbles every time holds up no other.
    """
    query = select(*(_ITEMS.c[name] for name in OpenItem._fields))
    query = query.where(_ITEMS.c.delivery_id == delivery_id, _ITEMS.c.state == "pending")
    return [OpenItem(*row) for row in session.execute(query.order_by(_ITEMS.c.attempts, _ITEMS.c.id))]


def counts(session: Session, delivery_id: int) -> dict[str, int]:
    """Number of instances by state."""
    query = select(DeliveryItem.state, func.count()).where(DeliveryItem.delivery_id == delivery_id)
    return dict(session.execute(query.group_by(DeliveryItem.state)).all())


def warnings(session: Session, delivery_id: int) -> int:
    """Number of instances that the destination stored with a warning (Bxxx)."""
    query = select(func.count()).where(DeliveryItem.delivery_id == delivery_id, _WARNED)
    return session.scalar(query) or 0


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
    outdatings.look_again(session, [answer.item_id for answer in answers])


def reopen_failed(session: Session, delivery_id: int) -> int:
    """Failed instances are pending again. Returns how many."""
    query = update(DeliveryItem).where(DeliveryItem.delivery_id == delivery_id, DeliveryItem.state == "failed")
    return int(session.execute(query.values(state="pending")).rowcount)  # type: ignore[attr-defined]


def of_series(session: Session, series_uid: str) -> Sequence[Delivery]:
    return session.scalars(select(Delivery).where(Delivery.series_uid == series_uid).order_by(Delivery.id)).all()


def by_enhancement(session: Session, enhancement_id: int) -> Sequence[Delivery]:
    """What is sent of one derived series, its rejection notes included; for reading."""
    return session.scalars(
        select(Delivery).where(Delivery.enhancement_id == enhancement_id).order_by(Delivery.id)
    ).all()


def of_enhancement(session: Session, enhancement_id: int) -> Sequence[Delivery]:
    """The deliveries of one derived series, locked."""
    query = select(Delivery).where(Delivery.subject == f"enhancement:{enhancement_id}").order_by(Delivery.id)
    return session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()


def items(session: Session, delivery_id: int) -> Sequence[DeliveryItem]:
    query = select(DeliveryItem).where(DeliveryItem.delivery_id == delivery_id).order_by(DeliveryItem.id)
    return session.scalars(query).all()


def listing(
    session: Session, limit: int, state: str | None = None, destination: str | None = None
) -> Sequence[Delivery]:
    """The newest first."""
    query = select(Delivery).order_by(Delivery.id.desc()).limit(limit)
    if state:
        query = query.where(Delivery.state == state)
    if destination:
        query = query.where(Delivery.destination == destination)
    return session.scalars(query).all()


def warned_by_destination(session: Session) -> dict[str, int]:
    """Number of instances that each destination stored with a warning."""
    query = select(Delivery.destination, func.count()).join(DeliveryItem, DeliveryItem.delivery_id == Delivery.id)
    return dict(session.execute(query.where(_WARNED).group_by(Delivery.destination)).all())


def refused_by_destination(session: Session) -> dict[str, int]:
    """Number of instances in dead letters, by destination."""
    query = select(Delivery.destination, func.count()).join(DeliveryItem, DeliveryItem.delivery_id == Delivery.id)
    dead = (Delivery.state == "failed") & (DeliveryItem.state == "failed")
    return dict(session.execute(query.where(dead).group_by(Delivery.destination)).all())


def counts_by_state(session: Session) -> dict[tuple[str, str], int]:
    query = select(Delivery.destination, Delivery.state, func.count()).group_by(Delivery.destination, Delivery.state)
    return {(destination, state): count for destination, state, count in session.execute(query)}
