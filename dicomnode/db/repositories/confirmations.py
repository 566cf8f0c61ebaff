"""Deliveries that wait for their destination's word, and what it said of each instance."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Float, bindparam, exists, func, literal_column, select, update
from sqlalchemy.orm import Session

from dicomnode.db.clock import Clock
from dicomnode.db.models import Delivery, DeliveryItem, DerivedSeriesRow, Enhancement, Outage, Series
from dicomnode.db.repositories.holds import DESTINATION, names_held

_CHUNK = 500

_ROW = Delivery.metadata.tables[Delivery.__tablename__].c
_TO_CONFIRM = (_ROW.confirm_at.is_not(None)) & (_ROW.state == literal_column("'sent'"))
_RESTS = exists().where(Outage.destination == _ROW.destination, Outage.next_at > Clock())
_FREE = _ROW.destination.not_in(bindparam("busy", expanding=True)) & _ROW.destination.not_in(names_held(DESTINATION))

_DUE = (
    select(_ROW.id)
    .where(_TO_CONFIRM, _ROW.confirm_at <= Clock(), _FREE, ~_RESTS)
    .where(_ROW.finished_at <= Clock(bindparam("rested", type_=Float)))
    .order_by(_ROW.confirm_at, _ROW.id)
    .limit(bindparam("most"))
)

_TAKE = (
    update(_ROW.id.table)
    .where(_ROW.id.in_(_DUE.with_for_update(skip_locked=True)))
    .values(confirm_at=Clock(bindparam("lease", type_=Float)))
    .returning(_ROW.destination, _ROW.id)
)

_UNCONFIRMED = (DeliveryItem.state == "sent") & (DeliveryItem.confirmed_by == "")


def anything_due(session: Session, rest: float, busy: Collection[str] = ()) -> bool:
    """Whether `take` would find something; a read."""
    values = {"rested": -rest, "busy": sorted(busy), "most": 1}
    return session.connection().execute(_DUE, values).first() is not None


def take(session: Session, rest: float, lease: float, limit: int, busy: Collection[str] = ()) -> list[tuple[str, int]]:
    """Deliveries whose destination is to be asked now, as (destination, id): this node's for `lease` seconds.

    Those that were sent less than `rest` seconds ago are left to rest, those to a `busy`, a paused or an absent
    destination to wait.
    """
    values = {"rested": -rest, "busy": sorted(busy), "most": limit, "lease": lease}
    return sorted((destination, id) for destination, id in session.connection().execute(_TAKE, values))


def lock(session: Session, id: int) -> Delivery:
    """The delivery as it is now, of this transaction until it ends."""
    query = select(Delivery).where(Delivery.id == id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def place(session: Session, row: Delivery) -> tuple[str, str] | None:
    """Study and series of what was delivered. None: it is not to be asked about, and not to be sent again.

    That is a derived series that is outdated, which its destination may have been told to hide, and what told it.
    """
    query = select(Series.study_uid, Series.uid).where(Series.uid == row.series_uid)
    if row.enhancement_id is not None and row.subject != f"enhancement:{row.enhancement_id}":
        return None
    if row.enhancement_id is not None:
        query = select(Series.study_uid, DerivedSeriesRow.uid).select_from(Enhancement)
        query = query.join(Series, Series.uid == Enhancement.series_uid)
        query = query.join(DerivedSeriesRow, DerivedSeriesRow.enhancement_id == Enhancement.id)
        query = query.where(Enhancement.id == row.enhancement_id, Enhancement.state != "outdated")
    found = session.execute(query).one_or_none()
    return (found[0], found[1]) if found else None


def unconfirmed(session: Session, delivery_id: int) -> Sequence[tuple[str, str]]:
    """(SOP Class UID, SOP Instance UID) of what the destination took and has not vouched for."""
    query = select(DeliveryItem.sop_class_uid, DeliveryItem.sop_uid)
    rows = session.execute(query.where(DeliveryItem.delivery_id == delivery_id, _UNCONFIRMED).order_by(DeliveryItem.id))
    return [(sop_class, uid) for sop_class, uid in rows]


def vouch(session: Session, delivery_id: int, sop_uids: Collection[str], by: str) -> None:
    """The destination vouches for these. Storage commitment is its last word; a query does not take it back."""
    weaker = DeliveryItem.confirmed_by.in_(("", "query") if by == "commitment" else ("",))
    for which in _of(delivery_id, sop_uids):
        query = update(DeliveryItem).where(which, weaker).values(confirmed_by=by, confirmed_at=Clock())
        session.execute(query, execution_options={"synchronize_session": False})


def words(session: Session, delivery_id: int) -> Counter[str]:
    """Number of instances by who vouched for them; "" for those nobody did."""
    query = select(DeliveryItem.confirmed_by, func.count()).where(DeliveryItem.delivery_id == delivery_id)
    return Counter(dict(session.execute(query.group_by(DeliveryItem.confirmed_by)).all()))


def take_back(
    session: Session, delivery_id: int, sop_uid: str, state: str, detail: str, asked_before: datetime
) -> bool:
    """One instance that was sent is `pending`, or `failed`, as the destination does not keep it.

    `asked_before`: when it was asked; what was sent again since is not meant. False: nothing changed.
    """
    query = update(DeliveryItem).where(
        DeliveryItem.delivery_id == delivery_id,
        DeliveryItem.sop_uid == sop_uid,
        DeliveryItem.state == "sent",
        DeliveryItem.confirmed_by != "commitment",
        DeliveryItem.sent_at <= asked_before,
    )
    values = {"state": state, "detail": detail, "confirmed_by": "", "confirmed_at": None}
    changed = session.execute(query.values(values), execution_options={"synchronize_session": False})
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def _of(delivery_id: int, sop_uids: Collection[str]) -> Iterator[ColumnElement[bool]]:
    listed = sorted(sop_uids)
    for start in range(0, len(listed), _CHUNK):
        chunk = DeliveryItem.sop_uid.in_(listed[start : start + _CHUNK])
        yield (DeliveryItem.delivery_id == delivery_id) & (DeliveryItem.state == "sent") & chunk
