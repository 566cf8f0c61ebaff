"""Studies, series and the facts that outlive their files."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base


class Study(Base):
    """A study, with the demographics of the first instance that came."""

    __tablename__ = "study"

    uid: Mapped[str] = mapped_column(primary_key=True)
    patient_id: Mapped[str] = mapped_column(index=True)
    patient_name: Mapped[str]
    accession_number: Mapped[str] = mapped_column(index=True)
    study_date: Mapped[str]
    description: Mapped[str]
    first_seen_at: Mapped[datetime]
    search_text: Mapped[str] = mapped_column(default="")
    """What people look for, folded (`domain.search_text`): names in every script, patient ID, accession number."""


class Series(Base):
    """A series and when it falls due. State and arrows: `domain.states.SERIES`."""

    __tablename__ = "series"
    __table_args__ = (
        Index("ix_series_retention", "purged_at", "last_arrival_at"),
        Index("ix_series_arrival", "last_arrival_at", "uid"),
        Index("ix_series_sender", "calling_aet", "last_arrival_at"),
        Index("ix_series_modality", "modality", "last_arrival_at", "uid"),
    )

    uid: Mapped[str] = mapped_column(primary_key=True)
    study_uid: Mapped[str] = mapped_column(ForeignKey("study.uid"), index=True)
    modality: Mapped[str]
    series_number: Mapped[str]
    description: Mapped[str]
    calling_aet: Mapped[str]
    called_aet: Mapped[str]
    state: Mapped[str]
    generation: Mapped[int] = mapped_column(default=0)
    last_arrival_at: Mapped[datetime]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    due_reason: Mapped[str] = mapped_column(default="")
    wait_for_aet: Mapped[str] = mapped_column(default="")
    """Not due while an association from this AE title is open; empty when associations do not matter."""
    quiet_at: Mapped[datetime | None]
    """Due at this time whatever else holds: the quiet time, which an association that stays open cannot stretch."""
    completed_at: Mapped[datetime | None]
    derived_by_node: Mapped[bool] = mapped_column(default=False)
    """A dicomnode made it (loop guard): neither enhanced nor forwarded."""
    kept_by: Mapped[str] = mapped_column(default="")
    """Who said that retention must leave it alone; empty: nobody."""
    kept_for: Mapped[str] = mapped_column(default="")
    """Which AE title was told, by storage commitment, that this node itself keeps it; empty: none was."""
    indexed_by: Mapped[str] = mapped_column(default="")
    """The node that took in what came last: it alone may remember how much of the series is here."""
    purged_at: Mapped[datetime | None]
    """When retention gave up its bytes; null again once an instance of it came after that."""
    search_text: Mapped[str] = mapped_column(default="")
    """Its description, folded: what people find it by who do not see patients."""


class SeriesFactsRow(Base):
    """Facts of one generation, and why it counted as complete."""

    __tablename__ = "series_facts"
    __table_args__ = (Index("ix_series_facts_completed", "completed_at", "series_uid", "generation"),)

    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"), primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    completed_at: Mapped[datetime]
    reason: Mapped[str]
    instance_count: Mapped[int]
    facts: Mapped[dict[str, Any]]
    circumstances: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What else the decision rested on at that moment and the facts do not hold: `flow.deciding.Circumstances`."""
