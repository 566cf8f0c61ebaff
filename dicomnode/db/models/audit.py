"""The audit log: events as they happened, and the chain that seals them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.types import Identity

UNUSUAL = text("outcome <> 'success'")
"""What the index of outcomes holds: most events are a success, and an index that nobody needs costs each of them."""
_HAS_SUBJECT = text("subject IS NOT NULL")


class AuditEvent(Base):
    """One event, written in the transaction of the change it tells of, and never updated."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_kind_at", "kind", "at"),
        Index("ix_audit_event_actor_at", "actor", "at"),
        Index("ix_audit_event_outcome_at", "outcome", "at", sqlite_where=UNUSUAL, postgresql_where=UNUSUAL),
        Index("ix_audit_event_subject", "subject", sqlite_where=_HAS_SUBJECT, postgresql_where=_HAS_SUBJECT),
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    node: Mapped[str]
    actor: Mapped[str]
    kind: Mapped[str]
    outcome: Mapped[str]
    study_uid: Mapped[str | None] = mapped_column(index=True)
    series_uid: Mapped[str | None] = mapped_column(index=True)
    subject: Mapped[str | None]
    """What the event is about when it is not a series: an association, a SOP instance, an enhancement, a rule."""
    message: Mapped[str]
    detail: Mapped[dict[str, Any]]


class AuditChain(Base):
    """The seal: `hash` covers the previous link's hash and the whole event, so no event changes unnoticed."""

    __tablename__ = "audit_chain"

    seq: Mapped[int] = mapped_column(Identity, primary_key=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("audit_event.id"), unique=True)
    hash: Mapped[str]


class AuditCursor(Base):
    """How far the log was copied to a collector, and which node copies it just now."""

    __tablename__ = "audit_cursor"

    name: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int]
    """The last link whose event the collector has."""
    node: Mapped[str]
    lease_until: Mapped[datetime]
    """The others leave it alone until then; on the database's clock."""
