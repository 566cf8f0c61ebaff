"""Images of a series in the order they are looked at, and what was made of each."""

from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Enhancement, Instance, Output


@dataclass(frozen=True)
class Slice:
    """An image, and what one piece of work made of it."""

    source: Instance
    output: Output | None


def count(session: Session, series_uid: str, job: int) -> int:
    """Number of slices that `job` made something of; of all images of the series for job 0."""
    return session.scalar(select(func.count()).select_from(_slices(series_uid, job).subquery())) or 0


def at(session: Session, series_uid: str, job: int, index: int) -> Slice | None:
    """The slice at this place (from 0) in the order of instance numbers."""
    query = _slices(series_uid, job).order_by(Instance.instance_number, Instance.sop_uid).offset(index).limit(1)
    sop_uid = session.scalar(query)
    if sop_uid is None:
        return None
    made = select(Output).where(Output.enhancement_id == job, Output.source_sop_uid == sop_uid).order_by(Output.ordinal)
    return Slice(session.get_one(Instance, sop_uid), session.scalar(made.limit(1)) if job else None)


def _slices(series_uid: str, job: int) -> Select[str]:
    query = select(Instance.sop_uid).where(Instance.series_uid == series_uid)
    if not job:
        return query.where(Instance.is_image)
    of_job = select(Output.source_sop_uid).join(Enhancement, Enhancement.id == Output.enhancement_id)
    return query.where(Instance.sop_uid.in_(of_job.where(Enhancement.id == job, Enhancement.series_uid == series_uid)))
