"""What is told of one series: how it came, its generations, what was made of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicomnode.db.models import (
    Association,
    DerivedSeriesRow,
    Enhancement,
    Instance,
    InstanceVersion,
    Outdating,
    Output,
    SeriesFactsRow,
)


class Arrived(NamedTuple):
    """What one association brought of a series; `row` is None where the receiver's note of it is gone."""

    association: str
    calling_aet: str
    instances: int
    first_at: datetime
    last_at: datetime
    row: Association | None


class Generation(NamedTuple):
    """When a generation was complete, why it counted as such, and of how many instances."""

    number: int
    completed_at: datetime
    reason: str
    instances: int


class Made(NamedTuple):
    """A piece of work with what came of it: outputs, how many of them gave up their bytes, and why it is outdated."""

    work: Enhancement
    derived_uid: str
    outputs: int
    purged: int
    outdated: Outdating | None


def arrivals(session: Session, series_uid: str, limit: int) -> Sequence[Arrived]:
    """The associations that brought the series, in their order, `limit` of them at most."""
    first, last = func.min(Instance.received_at), func.max(Instance.received_at)
    query = select(Instance.association, func.min(Instance.calling_aet), func.count(), first, last)
    query = query.where(Instance.series_uid == series_uid).group_by(Instance.association).order_by(first).limit(limit)
    rows = session.execute(query).all()
    noted = select(Association).where(Association.id.in_([row[0] for row in rows]))
    known = {each.id: each for each in session.scalars(noted)}
    return [Arrived(*row, known.get(row[0])) for row in rows]


def generations(session: Session, series_uid: str) -> Sequence[Generation]:
    """Every generation, the first one first; without the facts, which are long."""
    row = SeriesFactsRow
    query = select(row.generation, row.completed_at, row.reason, row.instance_count)
    return [
        Generation(*each)
        for each in session.execute(query.where(row.series_uid == series_uid).order_by(row.generation))
    ]


def made(session: Session, series_uid: str) -> Sequence[Made]:
    """All work on the series in the order it was asked for."""
    counted = (
        select(Output.enhancement_id, func.count().label("outputs"), func.count(Output.purged_at).label("purged"))
        .join(Enhancement, Enhancement.id == Output.enhancement_id)
        .where(Enhancement.series_uid == series_uid, Output.source_sop_uid != "")
        .group_by(Output.enhancement_id)
        .subquery("counted")
    )
    query = (
        select(Enhancement, DerivedSeriesRow.uid, counted.c.outputs, counted.c.purged, Outdating)
        .outerjoin(DerivedSeriesRow, DerivedSeriesRow.enhancement_id == Enhancement.id)
        .outerjoin(counted, counted.c.enhancement_id == Enhancement.id)
        .outerjoin(Outdating, Outdating.enhancement_id == Enhancement.id)
        .where(Enhancement.series_uid == series_uid)
        .order_by(Enhancement.id)
    )
    return [Made(row[0], row[1] or "", row[2] or 0, row[3] or 0, row[4]) for row in session.execute(query)]


def source_of(session: Session, derived_uid: str) -> str | None:
    """The series that a derived one was made from, if this node made it."""
    query = select(Enhancement.series_uid).join(DerivedSeriesRow, DerivedSeriesRow.enhancement_id == Enhancement.id)
    return session.scalar(query.where(DerivedSeriesRow.uid == derived_uid))


def arrival(session: Session, series_uid: str) -> tuple[int, datetime, datetime, int]:
    """(number of instances, first and last arrival, number of associations) of a series that is here."""
    columns = (func.count(), func.min(Instance.received_at), func.max(Instance.received_at))
    query = select(*columns, func.count(Instance.association.distinct())).where(Instance.series_uid == series_uid)
    count, first, last, associations = session.execute(query).one()
    return count, first, last, associations


def open_conflicts(session: Session, series_uid: str) -> int:
    """Number of quarantined conflicts that nobody has said to have looked at."""
    query = select(func.count(InstanceVersion.id)).join(Instance, Instance.sop_uid == InstanceVersion.sop_uid)
    is_open = (InstanceVersion.kind == "conflict") & InstanceVersion.settled_at.is_(None)
    return session.scalar(query.where(Instance.series_uid == series_uid, is_open)) or 0
