"""Site data: revisions of destinations and rules, and what the rules decided."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.types import Identity


class SiteRevision(Base):
    """One immutable revision of all site data. The newest is in force."""

    __tablename__ = "site_revision"

    number: Mapped[int] = mapped_column(Identity, primary_key=True)
    created_at: Mapped[datetime]
    author: Mapped[str]
    comment: Mapped[str]
    document: Mapped[dict[str, Any]]


class RuleDecision(Base):
    """What one rule said of one generation of a series, with the values it saw."""

    __tablename__ = "rule_decision"
    __table_args__ = (UniqueConstraint("series_uid", "generation", "revision", "rule"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"))
    generation: Mapped[int]
    revision: Mapped[int] = mapped_column(ForeignKey("site_revision.number"))
    rule: Mapped[str]
    rule_state: Mapped[str]
    matched: Mapped[bool]
    outcome: Mapped[str]
    enhancement_id: Mapped[int | None] = mapped_column(ForeignKey("enhancement.id"), index=True)
    deliver_to: Mapped[list[Any]]
    explanation: Mapped[dict[str, Any]]
    decided_at: Mapped[datetime]
