"""Stored instances: where the bytes of a SOP instance are."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select, update
from sqlalchemy import insert as insert_into
from sqlalchemy.orm import Session

from dicomnode.db.models import Instance, InstanceVersion
from dicomnode.domain.instance import Location


def location(row: Instance) -> Location:
    """Where the instance's Part 10 file lies."""
    return Location(row.container, row.offset, row.length)


def find(session: Session, sop_uid: str) -> Instance | None:
    return session.get(Instance, sop_uid)


def known(session: Session, sop_uids: Sequence[str]) -> dict[str, tuple[str, Location | None]]:
    """sha256 and, where the bytes are kept, their place, of those of these instances that have a row, by UID."""
    found: dict[str, tuple[str, Location | None]] = {}
    columns = (Instance.sop_uid, Instance.sha256, Instance.kept(), Instance.container, Instance.offset, Instance.length)
    for chunk in _chunks(sop_uids, 500):
        rows = session.execute(select(*columns).where(Instance.sop_uid.in_(chunk)))
        for uid, sha256, kept, container, offset, length in rows:
            found[uid] = sha256, Location(container, offset, length) if kept else None
    return found


def insert(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of new instances, every column given; they are not objects of the session."""
    session.connection().execute(insert_into(Instance), rows)


def version(session: Session, sop_uid: str, sha256: str) -> InstanceVersion | None:
    """These very bytes, if they came before as another version of the instance."""
    query = select(InstanceVersion).where(InstanceVersion.sop_uid == sop_uid, InstanceVersion.sha256 == sha256)
    return session.scalar(query)


def of_series(session: Session, series_uid: str) -> Sequence[Instance]:
    """The instances of a series that are stored, in order of arrival."""
    query = select(Instance).where(Instance.series_uid == series_uid, Instance.kept())
    return session.scalars(query.order_by(Instance.received_at, Instance.sop_uid)).all()


def sop_uids(session: Session, series_uid: str) -> set[str]:
    return set(session.scalars(select(Instance.sop_uid).where(Instance.series_uid == series_uid, Instance.kept())))


def kept(session: Session, sop_uids: Sequence[str]) -> set[str]:
    """Those of these instances that are stored."""
    found: set[str] = set()
    for chunk in _chunks(sop_uids, 500):
        found.update(session.scalars(select(Instance.sop_uid).where(Instance.sop_uid.in_(chunk), Instance.kept())))
    return found


def by_series(session: Session, sop_uids: Sequence[str]) -> tuple[dict[str, set[str]], str]:
    """These instances by Series Instance UID, and one that is not stored, at which the search ended; empty if all are.

    Asked from the end of the list: what was listed last came last, as a rule, so that one question says that it lacks.
    """
    found: dict[str, set[str]] = {}
    for chunk in _chunks(list(dict.fromkeys(reversed(sop_uids))), 500):
        query = select(Instance.series_uid, Instance.sop_uid).where(Instance.sop_uid.in_(chunk), Instance.kept())
        series_of = {sop_uid: series_uid for series_uid, sop_uid in session.execute(query)}
        for sop_uid in chunk:
            if sop_uid not in series_of:
                return found, sop_uid
            found.setdefault(series_of[sop_uid], set()).add(sop_uid)
    return found, ""


def count(session: Session, series_uid: str) -> int:
    """Number of stored instances."""
    return session.scalar(select(func.count()).where(Instance.series_uid == series_uid, Instance.kept())) or 0


def gone(session: Session, series_uid: str) -> dict[str, int]:
    """Number of instances whose rows outlived their bytes, by what became of those: purged, missing, damaged."""
    known = Instance.series_uid == series_uid
    why = case((Instance.purged_at.is_not(None), "purged"), else_=Instance.fault)
    query = select(why, func.count()).where(known, ~Instance.kept()).group_by(why)
    return dict(session.execute(query).all())


def tally(session: Session, series_uid: str) -> tuple[int, int, int | None]:
    """(number of instances, number of images, the largest number of images that any of these announces)."""
    announced = case((Instance.is_image, Instance.images_in_acquisition))
    query = select(func.count(), func.count(case((Instance.is_image, 1))), func.max(announced))
    stored, images, largest = session.execute(query.where(Instance.series_uid == series_uid, Instance.kept())).one()
    return stored, images, largest


def numbering(session: Session, series_uid: str) -> Sequence[tuple[int | None, int | None, int | None]]:
    """(instance number, acquisition number, images in acquisition) of every image: what completion evidence reads."""
    query = select(Instance.instance_number, Instance.acquisition_number, Instance.images_in_acquisition)
    return session.execute(query.where(Instance.series_uid == series_uid, Instance.is_image, Instance.kept())).all()


def join_generation(session: Session, sop_uids: Iterable[str], generation: int) -> None:
    """These instances are part of the series from this generation on."""
    for chunk in _chunks(list(sop_uids), 500):
        query = update(Instance).where(Instance.sop_uid.in_(chunk), Instance.generation.is_(None))
        session.execute(query.values(generation=generation))


def versions(session: Session, series_uid: str) -> Sequence[InstanceVersion]:
    """Variants, corrections and conflicts of a series' instances."""
    query = select(InstanceVersion).join(Instance, Instance.sop_uid == InstanceVersion.sop_uid)
    return session.scalars(query.where(Instance.series_uid == series_uid).order_by(InstanceVersion.id)).all()


def contradicted(session: Session, series_uid: str) -> dict[str, int]:
    """Number of stored instances that came again as a correction, or as a conflict nobody has settled, by that kind.

    Not those whose other version is stored in place of the first by now.
    """
    query = (
        select(InstanceVersion.kind, func.count(Instance.sop_uid.distinct()))
        .join(Instance, Instance.sop_uid == InstanceVersion.sop_uid)
        .where(Instance.series_uid == series_uid, Instance.kept(), Instance.sha256 != InstanceVersion.sha256)
        .where(InstanceVersion.kind.in_(("correction", "conflict")), InstanceVersion.settled_at.is_(None))
        .group_by(InstanceVersion.kind)
    )
    return dict(session.execute(query).all())


def settle_conflicts(session: Session, series_uid: str, at: datetime) -> int:
    """Somebody has looked at the conflicts of a series: they hold it no longer. Returns how many there were."""
    of_series = select(Instance.sop_uid).where(Instance.series_uid == series_uid)
    open_ones = (InstanceVersion.kind == "conflict") & InstanceVersion.settled_at.is_(None)
    query = update(InstanceVersion).where(InstanceVersion.sop_uid.in_(of_series), open_ones)
    return int(session.execute(query.values(settled_at=at)).rowcount)  # type: ignore[attr-defined]


def _chunks(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
