"""Site data: revisions of destinations and rules, the draft of the next one, and what the rules decided."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
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
    origin: Mapped[str] = mapped_column(default="import")
    """How it came about: `import` of a file, `publish` of the draft, `rollback` to an earlier one."""
    replay_id: Mapped[int | None]
    """The replay that its author saw before publishing it."""
    restores: Mapped[int | None]
    """The revision whose document this is again, after a roll-back."""


class SiteDraft(Base):
    """The next revision while it is written; one for the site, so that nobody works on a copy others do not see."""

    __tablename__ = "site_draft"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    """Always 1."""
    version: Mapped[int]
    """Counts up with every change: who saves says which one was read, and never overwrites what came since."""
    base: Mapped[int]
    """The revision it started from; publishing waits until that is the one in force."""
    document: Mapped[dict[str, Any]]
    digest: Mapped[str]
    """SHA-256 of the document's canonical JSON: what a replay was of."""
    author: Mapped[str]
    """Who changed it last."""
    changed_at: Mapped[datetime]


class Replay(Base):
    """A document tried on the series of the past, against the revision in force. State: `domain.states.REPLAY`."""

    __tablename__ = "replay"
    __table_args__ = (Index("ix_replay_digest", "digest", "base"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    digest: Mapped[str]
    """Of the document that was tried."""
    base: Mapped[int]
    """The revision it was compared with; 0: there was none."""
    document: Mapped[dict[str, Any]]
    since: Mapped[datetime]
    until: Mapped[datetime]
    state: Mapped[str]
    total: Mapped[int] = mapped_column(default=0)
    """Series to look at, and how many have been."""
    done: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Counts for each rule and pipeline, warnings, seconds: `desk.replaying` says how it is read."""
    reason: Mapped[str] = mapped_column(default="")
    author: Mapped[str]
    node: Mapped[str]
    """Where it runs; a node that restarts ends what it had begun."""
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ReplayChange(Base):
    """A series that the document would have treated otherwise, and why."""

    __tablename__ = "replay_change"
    __table_args__ = (Index("ix_replay_change_rule", "replay_id", "rule", "kind", "id"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    replay_id: Mapped[int] = mapped_column(ForeignKey("replay.id"))
    series_uid: Mapped[str]
    generation: Mapped[int]
    rule: Mapped[str]
    kind: Mapped[str]
    """`gains` or `loses` an enhancement, `other` (params, destination, priority), `shadow` (measured alone).

    Of originals that are forwarded: `more`, `fewer`, `elsewhere`, `unclear`.
    """
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    """What the rule said, then and by the document: outcome, pipeline, destinations, reason."""


class RuleDecision(Base):
    """What one rule said of one generation of a series, with the values it saw."""

    __tablename__ = "rule_decision"
    __table_args__ = (
        UniqueConstraint("series_uid", "generation", "revision", "rule"),
        Index("ix_rule_decision_rule", "rule", "rule_state", "matched", "id"),
    )

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
