"""The ledger: enhancements and their outputs."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.models.stored import Stored
from dicomnode.db.types import Identity


def _where(condition: str, name: str, *columns: str) -> Index:
    """An index of some rows alone: claiming never walks over what is finished."""
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


class Enhancement(Base):
    """One piece of work, unique on what determines its result. State and arrows: `domain.states.ENHANCEMENT`."""

    __tablename__ = "enhancement"
    __table_args__ = (
        _where("state = 'ready'", "ix_enhancement_ready", "priority", "not_before", "id"),
        _where("state = 'running'", "ix_enhancement_running", "lease_until"),
        _where("state = 'ready' AND deadline_at IS NOT NULL", "ix_enhancement_deadline", "deadline_at"),
        _where("state <> 'ready' AND state <> 'running'", "ix_enhancement_over", "state", "id"),
        _where("finished_at IS NOT NULL", "ix_enhancement_finished", "finished_at", "state"),
        Index("ix_enhancement_created", "created_at"),
        Index("ix_enhancement_pipeline", "pipeline", "id"),
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    """SHA-256 over source series, recipe and (volume scope only) generation."""
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"), index=True)
    generation: Mapped[int]
    pipeline: Mapped[str]
    version: Mapped[str]
    weights_sha256: Mapped[str]
    params: Mapped[dict[str, Any]]
    writer_profile: Mapped[dict[str, Any]]
    state: Mapped[str]
    priority: Mapped[int]
    """Smaller goes first: 0 stat, 1 normal, 2 off-peak, 3 shadow."""
    attempt: Mapped[int] = mapped_column(default=0)
    """Counts claims, for ever: the fencing token."""
    failures: Mapped[int] = mapped_column(default=0)
    """Failed attempts of the present run; the work is set aside when they reach the limit."""
    not_before: Mapped[datetime]
    """When it may be claimed; while it runs, later than `started_at` once a newer generation was asked for."""
    worker: Mapped[str] = mapped_column(default="")
    """Who has it, or had it last; empty while it waits."""
    lease_until: Mapped[datetime | None]
    deadline_at: Mapped[datetime | None]
    stage: Mapped[str] = mapped_column(default="")
    verdict: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    figures: Mapped[list[Any]] = mapped_column(default=list)
    measured: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Device, batch size, seconds: what the run cost."""
    rerouted_to: Mapped[int | None]
    """The work that an operator had done instead: what rules ask for of this one is asked of that."""
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class DerivedSeriesRow(Base):
    """What a derived series is called, frozen at its first commit."""

    __tablename__ = "derived_series"

    enhancement_id: Mapped[int] = mapped_column(ForeignKey("enhancement.id"), primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    document: Mapped[dict[str, Any]]
    """SeriesNumber, SeriesDescription, date and time as `derive.DerivedSeries` has them."""


class Output(Stored, Base):
    """One derived instance. The first committed bytes win; the row outlives the bytes."""

    __tablename__ = "output"
    __table_args__ = (UniqueConstraint("enhancement_id", "source_sop_uid", "ordinal"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    enhancement_id: Mapped[int] = mapped_column(ForeignKey("enhancement.id"))
    source_sop_uid: Mapped[str]
    ordinal: Mapped[int] = mapped_column(default=0)
    sop_uid: Mapped[str] = mapped_column(unique=True)
    sop_class_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    sha256: Mapped[str]
    generation: Mapped[int]
