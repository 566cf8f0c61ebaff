"""Head starts: series that are still coming in, who looks after them, and what that brought."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dicomnode.db.clock import Clock
from dicomnode.db.models import DerivedSeriesRow, Enhancement, HeadStart, HeadStartTally, Instance, Output, Series
from dicomnode.db.repositories.holds import ENHANCING, JOBS, is_held, names_held
from dicomnode.domain.instance import Location

MOST_TAKERS = 5
"""A series that so many processes began with, one after the other, may be what ended them."""

_MOST_SERIES = 50


@dataclass(frozen=True)
class Arriving:
    """A series that is still coming in, and how many processes began to look after it so far."""

    series_uid: str
    generation: int
    called_aet: str
    last_arrival_at: datetime
    takers: int


@dataclass(frozen=True)
class Arrived:
    """An instance of it: what its bytes are and where they lie."""

    sop_uid: str
    sha256: str
    location: Location
    transfer_syntax_uid: str
    calling_aet: str
    received_at: datetime


def arriving(session: Session, worker: str) -> Sequence[Arriving]:
    """Series that this worker may look after, those first that are due first; none while enhancing is stopped."""
    free = or_(HeadStart.series_uid.is_(None), HeadStart.lease_until < Clock(), HeadStart.worker == worker)
    query = (
        select(
            *(Series.uid, Series.generation, Series.called_aet, Series.last_arrival_at),
            func.coalesce(HeadStart.takers, 0),
        )
        .outerjoin(HeadStart, HeadStart.series_uid == Series.uid)
        .where(Series.due_at.is_not(None), Series.state == "receiving", ~Series.derived_by_node)
        .where(free, ~is_held(ENHANCING), ~is_held(JOBS))
        .order_by(Series.due_at)
        .limit(_MOST_SERIES)
    )
    return [Arriving(*row) for row in session.execute(query)]


def paused_pipelines(session: Session) -> set[str]:
    """Pipelines whose jobs are paused."""
    return set(session.scalars(names_held(JOBS)))


def take(session: Session, series_uid: str, worker: str, lease_seconds: float, *, anew: bool) -> bool:
    """This worker looks after the series from now on, or goes on to; False: another does. `anew`: a process begins."""
    until = Clock(lease_seconds)
    mine = or_(HeadStart.worker == worker, HeadStart.lease_until < Clock())
    query = update(HeadStart).where(HeadStart.series_uid == series_uid, mine)
    values = {"worker": worker, "lease_until": until, "takers": HeadStart.takers + int(anew)}
    if session.execute(query.values(values)).rowcount == 1:  # type: ignore[attr-defined]
        return True
    try:
        with session.begin_nested():
            session.add(HeadStart(series_uid=series_uid, worker=worker, lease_until=until, takers=1))
            session.flush()
    except IntegrityError:
        return False
    return True


def is_receiving(session: Session, series_uid: str) -> bool:
    return session.scalar(select(Series.state).where(Series.uid == series_uid)) == "receiving"


def arrived(session: Session, series_uid: str) -> Sequence[Arrived]:
    """What is stored of the series, in order of arrival."""
    place = (Instance.container, Instance.offset, Instance.length)
    columns = (Instance.sop_uid, Instance.sha256, *place, Instance.transfer_syntax_uid, Instance.calling_aet)
    query = select(*columns, Instance.received_at).where(Instance.series_uid == series_uid, Instance.kept())
    rows = session.execute(query.order_by(Instance.received_at, Instance.sop_uid))
    return [
        Arrived(uid, sha256, Location(container, offset, length), syntax, calling_aet, at)
        for uid, sha256, container, offset, length, syntax, calling_aet, at in rows
    ]


def outputs_of(session: Session, key: str) -> tuple[set[str], dict[str, Any] | None]:
    """Sources that the work of this key has outputs of already, and what its derived series is called, if it is."""
    of_key = select(Enhancement.id).where(Enhancement.key == key).scalar_subquery()
    sources = session.scalars(select(Output.source_sop_uid).where(Output.enhancement_id == of_key))
    name = session.scalar(select(DerivedSeriesRow.document).where(DerivedSeriesRow.enhancement_id == of_key))
    return set(sources), name


def needed(session: Session, key: str, series_uid: str) -> bool:
    """Whether anybody may still use what was made ahead: the series is coming in, or its work is to be done."""
    open_work = select(Enhancement.id).where(Enhancement.key == key, Enhancement.state.in_(("ready", "running")))
    return is_receiving(session, series_uid) or session.scalar(open_work) is not None


def forget(session: Session) -> None:
    """Nobody needs to look after series that are complete."""
    over = select(Series.uid).where(Series.uid == HeadStart.series_uid, Series.state != "receiving").exists()
    session.execute(delete(HeadStart).where(over))


def tally(session: Session, worker: str, *, taken: int, computed: int, thrown_away: int, seconds_saved: float) -> None:
    """Add to what head starts brought to this worker's jobs."""
    row = session.get(HeadStartTally, worker, with_for_update=True)
    if row is None:
        row = HeadStartTally(worker=worker, taken=0, computed=0, thrown_away=0, seconds_saved=0.0)
        session.add(row)
    row.taken += taken
    row.computed += computed
    row.thrown_away += thrown_away
    row.seconds_saved += seconds_saved


def totals(session: Session) -> tuple[dict[str, int], float]:
    """Slices by what became of them, and seconds saved, of all workers."""
    of = HeadStartTally
    query = select(func.sum(of.taken), func.sum(of.computed), func.sum(of.thrown_away), func.sum(of.seconds_saved))
    taken, computed, thrown_away, seconds = session.execute(query).one()
    counts = {"taken": taken, "computed": computed, "thrown away": thrown_away}
    return {what: int(count or 0) for what, count in counts.items()}, float(seconds or 0.0)
