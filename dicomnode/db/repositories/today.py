"""What came, was made and went out since an instant, and what is open. Every query runs along an index."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, literal_column, select
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditEvent, Delivery, Enhancement, Instance, Series, Study
from dicomnode.domain.priority import SHADOW_PRIORITY

_READY = Enhancement.state == literal_column("'ready'")
_RUNNING = Enhancement.state == literal_column("'running'")
_PENDING = Delivery.state == literal_column("'pending'")
_SENDING = Delivery.state == literal_column("'sending'")


class Arrival(NamedTuple):
    """A series, when the last of it came, and whose it is."""

    uid: str
    last_arrival_at: datetime
    modality: str
    description: str
    calling_aet: str
    state: str
    study_uid: str
    patient_name: str


class Job(NamedTuple):
    """A piece of work, with what its series is called."""

    id: int
    series_uid: str
    description: str
    pipeline: str
    state: str
    stage: str
    worker: str
    reason: str
    started_at: datetime | None
    finished_at: datetime | None
    priority: int

    @property
    def shadow(self) -> bool:
        """Whether shadow rules alone asked for it: its result goes nowhere."""
        return self.priority >= SHADOW_PRIORITY


class Sent(NamedTuple):
    """How many deliveries of one kind ended today at one destination."""

    destination: str
    derived: bool
    state: str
    deliveries: int


_JOB = select(
    Enhancement.id,
    Enhancement.series_uid,
    Series.description,
    Enhancement.pipeline,
    Enhancement.state,
    Enhancement.stage,
    Enhancement.worker,
    Enhancement.reason,
    Enhancement.started_at,
    Enhancement.finished_at,
    Enhancement.priority,
).join(Series, Series.uid == Enhancement.series_uid)


def arrivals(session: Session, since: datetime, limit: int) -> Sequence[Arrival]:
    """Series of which something came since then, the newest first."""
    columns = [*(getattr(Series, name) for name in Arrival._fields[:-1]), Study.patient_name]
    query = select(*columns).join(Study, Study.uid == Series.study_uid).where(Series.last_arrival_at >= since)
    order = (Series.last_arrival_at.desc(), Series.uid.desc())
    return [Arrival._make(row) for row in session.execute(query.order_by(*order).limit(limit))]


def arrived(session: Session, since: datetime) -> int:
    """How many series something came of since then."""
    return session.scalar(select(func.count()).where(Series.last_arrival_at >= since)) or 0


def instance_counts(session: Session, series_uids: Sequence[str]) -> dict[str, int]:
    """How many instances of each of these series are known."""
    query = select(Instance.series_uid, func.count()).where(Instance.series_uid.in_(series_uids))
    return {row[0]: row[1] for row in session.execute(query.group_by(Instance.series_uid))}


def work_of(session: Session, series_uids: Sequence[str]) -> Sequence[Job]:
    """All work on these series, the oldest first."""
    query = _JOB.where(Enhancement.series_uid.in_(series_uids)).order_by(Enhancement.id)
    return [Job._make(row) for row in session.execute(query)]


def running(session: Session, limit: int) -> Sequence[Job]:
    """What workers are doing now, the longest first."""
    query = _JOB.where(_RUNNING).order_by(Enhancement.started_at, Enhancement.id).limit(limit)
    return [Job._make(row) for row in session.execute(query)]


def ended(session: Session, since: datetime) -> dict[str, int]:
    """Number of jobs that ended since then, by the state in which they are now; what was begun anew is not over."""
    query = select(Enhancement.state, func.count()).where(Enhancement.finished_at >= since)
    counts = {row[0]: row[1] for row in session.execute(query.group_by(Enhancement.state))}
    return {state: count for state, count in counts.items() if state not in ("ready", "running")}


def ended_as(session: Session, state: str, since: datetime, limit: int) -> Sequence[Job]:
    """Jobs that ended in this state since then, the newest first."""
    query = _JOB.where(Enhancement.finished_at >= since, Enhancement.state == state)
    return [Job._make(row) for row in session.execute(query.order_by(Enhancement.finished_at.desc()).limit(limit))]


def open_jobs(session: Session) -> dict[str, int]:
    """How many jobs are ready, and how many run."""
    count = select(func.count()).select_from(Enhancement)
    return {
        "ready": session.scalar(count.where(_READY)) or 0,
        "running": session.scalar(count.where(_RUNNING)) or 0,
    }


def sent(session: Session, since: datetime) -> Sequence[Sent]:
    """What ended at each destination since then; what was opened again has not ended."""
    derived = Delivery.enhancement_id.is_not(None)
    query = select(Delivery.destination, derived, Delivery.state, func.count()).where(Delivery.finished_at >= since)
    query = query.group_by(Delivery.destination, derived, Delivery.state).order_by(Delivery.destination)
    return [Sent(row[0], bool(row[1]), row[2], row[3]) for row in session.execute(query)]


def waiting(session: Session) -> dict[str, int]:
    """How many deliveries wait for each destination, or are on their way to it."""
    found: dict[str, int] = {}
    for part in (_PENDING, _SENDING):
        query = select(Delivery.destination, func.count()).where(part).group_by(Delivery.destination)
        for destination, count in session.execute(query):
            found[destination] = found.get(destination, 0) + count
    return found


def marks(session: Session) -> tuple[object, ...]:
    """What differs once anything happened that these pages show: looks at the ends of two indexes.

    Every change has its audit event; instances that arrive have none.
    """
    return session.scalar(select(func.max(AuditEvent.id))), session.scalar(select(func.max(Series.last_arrival_at)))


def stages(session: Session) -> Sequence[tuple[int, int, str]]:
    """(job, attempt, stage) of the jobs that run: what workers reach has no audit event.

    Sorted here: for rows in their order SQLite would walk along all jobs.
    """
    query = select(Enhancement.id, Enhancement.attempt, Enhancement.stage).where(_RUNNING)
    return sorted((row[0], row[1], row[2]) for row in session.execute(query))
