"""What stands behind a promise to keep an instance: where its bytes are, and who else has taken its original."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery, DeliveryItem, Instance, InstanceVersion, Series
from dicomnode.db.repositories.stored import StoredRow

_CHUNK = 500


class Kept(NamedTuple):
    """An instance that has a row. `contested`: other content came under its UID, and nobody has settled that."""

    row: StoredRow
    sop_class_uid: str
    gone: str
    contested: bool


class Onward(NamedTuple):
    """An instance's place in the delivery of its series' originals to one destination."""

    sop_uid: str
    delivery_id: int
    destination: str
    delivery_state: str
    delivery_reason: str
    item_state: str
    item_detail: str
    confirmed_at: datetime | None
    confirm_at: datetime | None
    confirmation: str


def kept(session: Session, sop_uids: Sequence[str]) -> dict[str, Kept]:
    """Those of these instances that the index knows, by SOP Instance UID."""
    found: dict[str, Kept] = {}
    conflict = (InstanceVersion.kind == "conflict") & InstanceVersion.settled_at.is_(None)
    contested = exists().where(InstanceVersion.sop_uid == Instance.sop_uid, conflict)
    for chunk in _chunks(sop_uids):
        for row, disputed in session.execute(select(Instance, contested).where(Instance.sop_uid.in_(chunk))):
            found[row.sop_uid] = Kept(_stored(row), row.sop_class_uid, row.gone, disputed)
    return found


def _stored(row: Instance) -> StoredRow:
    place = (row.container, row.offset, row.length)
    whose = (row.sop_uid, row.sop_uid, row.series_uid)
    return StoredRow("instance", *whose, *place, row.transfer_syntax_uid, row.sha256, row.fault)


def onward(session: Session, series_uids: Collection[str], sop_uids: Sequence[str]) -> list[Onward]:
    """Every destination that the originals among these instances, which are of these series, go to."""
    columns = (
        DeliveryItem.sop_uid,
        Delivery.id,
        Delivery.destination,
        Delivery.state,
        Delivery.reason,
        DeliveryItem.state,
        DeliveryItem.detail,
        DeliveryItem.confirmed_at,
        Delivery.confirm_at,
        Delivery.confirmation,
    )
    found: list[Onward] = []
    for of_series in _chunks(sorted(series_uids)):
        originals = Delivery.series_uid.in_(of_series) & Delivery.enhancement_id.is_(None)
        joined = select(*columns).join(Delivery, Delivery.id == DeliveryItem.delivery_id).where(originals)
        for chunk in _chunks(sop_uids):
            rows = session.execute(joined.where(DeliveryItem.sop_uid.in_(chunk)).order_by(DeliveryItem.id))
            found += [Onward._make(row) for row in rows]
    return found


def promise(session: Session, series_uids: Collection[str], calling_aet: str) -> list[str]:
    """Retention leaves these series alone from now on, for this modality's sake. Returns those it had given up already.

    They are locked in the order of their UIDs, as several nodes may do this at once.
    """
    lost: list[str] = []
    for uid in sorted(series_uids):
        series = session.scalar(select(Series).where(Series.uid == uid).with_for_update())
        if series is None or series.purged_at is not None:
            lost.append(uid)
            continue
        still = update(Series).where(Series.uid == uid, Series.kept_for == "").values(kept_for=calling_aet)
        session.execute(still, execution_options={"synchronize_session": False})
    return lost


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
