"""The ledger's rows: enhancements, outputs, derived series. Who may change their state: `jobs.ledger`."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from dicomnode.db.models import DerivedSeriesRow, Enhancement, Output


def find(session: Session, id: int) -> Enhancement | None:
    return session.get(Enhancement, id)


def by_key(session: Session, key: str) -> Enhancement | None:
    return session.scalar(select(Enhancement).where(Enhancement.key == key))


def claimable(now: datetime) -> Select[Enhancement]:
    """Work that may start, the most urgent first."""
    return (
        select(Enhancement)
        .where(Enhancement.state == "ready", Enhancement.not_before <= now)
        .order_by(Enhancement.priority, Enhancement.not_before, Enhancement.id)
        .limit(1)
    )


def fenced(id: int, attempt: int) -> Select[Enhancement]:
    """The row if this attempt is still the one that counts."""
    return select(Enhancement).where(
        Enhancement.id == id, Enhancement.attempt == attempt, Enhancement.state == "running"
    )


def lapsed(session: Session, now: datetime) -> Sequence[Enhancement]:
    """Running work whose lease has run out."""
    query = select(Enhancement).where(Enhancement.state == "running", Enhancement.lease_until < now)
    return session.scalars(query).all()


def running_on(session: Session, worker: str) -> Sequence[Enhancement]:
    query = select(Enhancement).where(Enhancement.state == "running", Enhancement.worker == worker)
    return session.scalars(query).all()


def running_under(session: Session, prefix: str) -> Sequence[Enhancement]:
    """Running work of the workers whose names begin so."""
    query = select(Enhancement).where(
        Enhancement.state == "running", Enhancement.worker.startswith(prefix, autoescape=True)
    )
    return session.scalars(query).all()


def past_deadline(session: Session, now: datetime) -> Sequence[Enhancement]:
    """Work that nobody started in time."""
    query = select(Enhancement).where(Enhancement.state == "ready", Enhancement.deadline_at < now)
    return session.scalars(query).all()


def of_series(session: Session, series_uid: str) -> Sequence[Enhancement]:
    return session.scalars(
        select(Enhancement).where(Enhancement.series_uid == series_uid).order_by(Enhancement.id)
    ).all()


def listing(session: Session, limit: int, state: str | None = None) -> Sequence[Enhancement]:
    """The newest first."""
    query = select(Enhancement).order_by(Enhancement.id.desc()).limit(limit)
    return session.scalars(query.where(Enhancement.state == state) if state else query).all()


def derived_series(session: Session, enhancement_id: int) -> DerivedSeriesRow | None:
    return session.get(DerivedSeriesRow, enhancement_id)


def by_derived_uid(session: Session, uid: str) -> DerivedSeriesRow | None:
    """The derived series of this Series Instance UID."""
    return session.scalar(select(DerivedSeriesRow).where(DerivedSeriesRow.uid == uid))


def outputs(session: Session, enhancement_id: int) -> Sequence[Output]:
    return session.scalars(select(Output).where(Output.enhancement_id == enhancement_id).order_by(Output.id)).all()


def containers_of_outputs(session: Session) -> set[str]:
    """Containers that outputs point into and that retention has not given up: all others may be swept."""
    return set(session.scalars(select(Output.container).where(Output.purged_at.is_(None)).distinct()))


def staged_by_running(session: Session, folder: str) -> set[str]:
    """Containers that running attempts are writing now."""
    query = select(Enhancement.id, Enhancement.attempt).where(Enhancement.state == "running")
    return {f"{folder}/{id}/{attempt}.tar" for id, attempt in session.execute(query)}


def counts_by_state(session: Session) -> dict[str, int]:
    query = select(Enhancement.state, func.count()).group_by(Enhancement.state)
    return dict(session.execute(query).all())
