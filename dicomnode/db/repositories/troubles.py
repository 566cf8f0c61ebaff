"""What is open and needs people: set aside, given up, quarantined. Each query looks at one partial index."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, literal_column, select
from sqlalchemy.orm import Session

from dicomnode.db.models import CommitmentRequest, Delivery, DriftState, Enhancement, Instance, InstanceVersion

_FAILED = Enhancement.state == literal_column("'failed'")
_OVER = (Enhancement.state != literal_column("'ready'")) & (Enhancement.state != literal_column("'running'"))
_DEAD = Delivery.state == literal_column("'failed'")
_TAKEN = Delivery.state == literal_column("'sent'")
_UNCONFIRMED = _TAKEN & Delivery.confirm_at.is_(None) & (Delivery.confirmation != literal_column("''"))
_ABANDONED = CommitmentRequest.state == literal_column("'abandoned'")
_QUARANTINED = (InstanceVersion.kind == literal_column("'conflict'")) & InstanceVersion.settled_at.is_(None)


class Failed(NamedTuple):
    """One thing that failed: a job's pipeline or a delivery's destination, why, and when."""

    what: str
    reason: str
    at: datetime | None


def failed_jobs(session: Session, limit: int) -> Sequence[Failed]:
    """Jobs that were set aside, the newest first."""
    query = select(Enhancement.pipeline, Enhancement.reason, Enhancement.finished_at).where(_FAILED, _OVER)
    return [Failed(*row) for row in session.execute(query.order_by(Enhancement.id.desc()).limit(limit))]


def dead_letters(session: Session, limit: int) -> Sequence[Failed]:
    """Deliveries that were refused for good, the newest first."""
    query = select(Delivery.destination, Delivery.reason, Delivery.finished_at).where(_DEAD)
    return [Failed(*row) for row in session.execute(query.order_by(Delivery.id.desc()).limit(limit))]


def abandoned_commitments(session: Session, limit: int) -> Sequence[Failed]:
    """Requests of modalities whose answer could not be brought to them, the newest first."""
    query = select(CommitmentRequest.calling_aet, CommitmentRequest.reason, CommitmentRequest.finished_at)
    query = query.where(_ABANDONED).order_by(CommitmentRequest.id.desc()).limit(limit)
    return [Failed(*row) for row in session.execute(query)]


def unconfirmed(session: Session, since: datetime, limit: int) -> Sequence[Failed]:
    """Deliveries since then of which nobody knows whether the destination keeps them, and that it is asked no more."""
    query = select(Delivery.destination, Delivery.confirmation, Delivery.finished_at)
    query = query.where(_UNCONFIRMED, Delivery.finished_at >= since)
    query = query.order_by(Delivery.finished_at.desc()).limit(limit)
    return [Failed(*row) for row in session.execute(query)]


def quarantined(session: Session, limit: int) -> Sequence[tuple[str, int, datetime]]:
    """(series UID, how many instances came with other content, when last) of conflicts that nobody has settled."""
    columns = (Instance.series_uid, func.count(), func.max(InstanceVersion.received_at))
    query = select(*columns).join(InstanceVersion, InstanceVersion.sop_uid == Instance.sop_uid)
    query = query.where(_QUARANTINED).group_by(Instance.series_uid).order_by(Instance.series_uid).limit(limit)
    return [(row[0], row[1], row[2]) for row in session.execute(query)]


def drifting(session: Session, limit: int) -> Sequence[DriftState]:
    """Control charts that have left their limits."""
    query = select(DriftState).where(DriftState.state == "alarm").order_by(DriftState.id).limit(limit)
    return session.scalars(query).all()
