"""The last jobs of a pipeline, along its own index."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicomnode.db.models import Enhancement, Series


class Run(NamedTuple):
    """One job: its series, what became of it, and when."""

    id: int
    series_uid: str
    description: str
    version: str
    weights_sha256: str
    state: str
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """From its last claim to its end; None while it has none."""
        if self.started_at is None or self.finished_at is None or self.finished_at < self.started_at:
            return None
        return (self.finished_at - self.started_at).total_seconds()


def last(session: Session, pipeline: str, limit: int) -> Sequence[Run]:
    """The newest first."""
    columns = [getattr(Series if name == "description" else Enhancement, name) for name in Run._fields]
    query = select(*columns).join(Series, Series.uid == Enhancement.series_uid)
    query = query.where(Enhancement.pipeline == pipeline).order_by(Enhancement.id.desc()).limit(limit)
    return [Run._make(row) for row in session.execute(query)]
