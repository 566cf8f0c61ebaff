"""What retention may give up, and giving it up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, exists, func, or_, select, update
from sqlalchemy.orm import Session

from dicomnode.db.models import Container, Delivery, Enhancement, Instance, InstanceVersion, Output, Series
from dicomnode.db.models.stored import Stored
from dicomnode.db.repositories import set_aside

SETTLED_DELIVERIES = ("sent", "verified", "committed", "cancelled")
"""A dead letter is not among them: until somebody decides on it, its bytes may be the only copy. Nor is one that is
`sent` while its destination is still asked whether it keeps it.
"""

SETTLED_WORK = ("done", "withheld", "failed", "expired", "cancelled", "outdated")


_IN_CONTAINERS = (Instance, InstanceVersion)


@dataclass(frozen=True)
class Purged:
    """What one series gave up: rows by kind, and their bytes."""

    series_uid: str
    study_uid: str
    instances: int
    versions: int
    outputs: int
    bytes: int


def at_rest(before: datetime) -> ColumnElement[bool]:
    """Series that are complete, that nobody holds, of which nothing is open, and that rested since `before`.

    States are listed as those that are settled, so that one of a later version counts as open.
    """
    open_work = exists().where(
        Enhancement.series_uid == Series.uid,
        or_(Enhancement.state.not_in(SETTLED_WORK), Enhancement.finished_at >= before),
    )
    open_delivery = exists().where(
        Delivery.series_uid == Series.uid,
        or_(
            Delivery.state.not_in(SETTLED_DELIVERIES),
            (Delivery.state == "sent") & Delivery.confirm_at.is_not(None),
            Delivery.finished_at >= before,
        ),
    )
    unsettled = exists().where(
        Instance.series_uid == Series.uid,
        InstanceVersion.sop_uid == Instance.sop_uid,
        InstanceVersion.kind == "conflict",
        InstanceVersion.settled_at.is_(None),
    )
    rested = (Series.state == "complete") & (Series.last_arrival_at < before) & (Series.completed_at < before)
    free = Series.purged_at.is_(None) & (Series.kept_by == "") & (Series.kept_for == "")
    return rested & free & ~open_work & ~open_delivery & ~unsettled


def candidates(session: Session, before: datetime, limit: int) -> Sequence[str]:
    """UIDs of series that may be given up, those that came first first."""
    query = select(Series.uid).where(at_rest(before)).order_by(Series.last_arrival_at, Series.uid)
    return session.scalars(query.limit(limit)).all()


def purge(session: Session, uid: str, before: datetime, now: datetime) -> Purged | None:
    """Give up the bytes of a series, if it still may be: instances, versions, outputs. None: something is open again.

    The row is locked before it is asked, since whatever opens a series (an instance, a delivery, work) refers to it.
    """
    series = session.scalar(select(Series).where(Series.uid == uid).with_for_update())
    if series is None or session.scalar(select(Series.uid).where(Series.uid == uid, at_rest(before))) is None:
        return None
    sop_uids = select(Instance.sop_uid).where(Instance.series_uid == uid)
    work = select(Enhancement.id).where(Enhancement.series_uid == uid)
    instances, size = _give_up(session, Instance, Instance.series_uid == uid, now)
    versions, more = _give_up(session, InstanceVersion, InstanceVersion.sop_uid.in_(sop_uids), now)
    outputs, derived = _give_up(session, Output, Output.enhancement_id.in_(work), now)
    series.purged_at = now
    return Purged(uid, series.study_uid, instances, versions, outputs, size + more + derived)


def _give_up(session: Session, model: type[Stored], whose: ColumnElement[bool], now: datetime) -> tuple[int, int]:
    kept = whose & model.purged_at.is_(None)
    count, size = session.execute(select(func.count(), func.coalesce(func.sum(model.length), 0)).where(kept)).one()
    session.execute(update(model).where(kept).values(purged_at=now), execution_options={"synchronize_session": False})
    return int(count), int(size)


def emptied(session: Session) -> Sequence[Container]:
    """Containers that lost all their instances, and that are still listed."""
    lost = or_(*(exists().where(model.container == Container.name) for model in _IN_CONTAINERS))
    return session.scalars(_not_kept(session).where(lost)).all()


def bare(session: Session) -> Sequence[Container]:
    """Containers that never had one: events, and copies of what was stored before."""
    never = [~exists().where(model.container == Container.name) for model in _IN_CONTAINERS]
    return session.scalars(_not_kept(session).where(*never)).all()


def _not_kept(session: Session) -> Select[Container]:
    """Containers of which no row speaks, but not those that hold what the index could not take: it was acknowledged."""
    kept = [exists().where(model.container == Container.name, model.purged_at.is_(None)) for model in _IN_CONTAINERS]
    query = select(Container).where(Container.removed_at.is_(None), *(~each for each in kept))
    return query.where(Container.name.not_in(set_aside.containers(session)))


def mark_removed(session: Session, names: Iterable[str], now: datetime) -> None:
    """The files of these containers are gone, as they should be."""
    for name in names:
        session.execute(update(Container).where(Container.name == name).values(removed_at=now))


def held(session: Session, before: datetime) -> int:
    """Number of series that are old enough to be given up, and that something open holds."""
    old = (Series.last_arrival_at < before) & Series.purged_at.is_(None)
    return session.scalar(select(func.count()).select_from(Series).where(old, ~at_rest(before))) or 0
