"""Storage commitment (PS3.4 Annex J), both ways: what this node asked, what it heard, what it was asked."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.types import Identity

_ARRIVING = text("arrived_at IS NULL")
_ABANDONED = text("state = 'abandoned'")


class Commitment(Base):
    """A transaction that this node asked of a destination; committed to SQL before N-ACTION goes out.

    State and arrows: `domain.states.COMMITMENT`.
    """

    __tablename__ = "commitment"

    transaction_uid: Mapped[str] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"), index=True)
    destination: Mapped[str]
    node: Mapped[str]
    state: Mapped[str]
    sop_uids: Mapped[list[Any]]
    """The instances asked about."""
    asked_at: Mapped[datetime]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """Until when a report is waited for; null once it came or the transaction was given up."""
    reason: Mapped[str] = mapped_column(default="")


class CommitmentReport(Base):
    """An N-EVENT-REPORT as it came, whoever received it, known transaction or not; applied to deliveries later."""

    __tablename__ = "commitment_report"
    __table_args__ = (Index("ix_commitment_report_open", "applied_at"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(index=True)
    calling_aet: Mapped[str]
    event_type: Mapped[int]
    """1: all committed; 2: failures exist (PS3.4 Table J.3-2)."""
    committed: Mapped[list[Any]]
    """SOP Instance UIDs."""
    failed: Mapped[list[Any]]
    """[SOP Instance UID, FailureReason] pairs."""
    association: Mapped[str]
    received_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]


class CommitmentRequest(Base):
    """A transaction that a modality asked of this node (N-ACTION). State and arrows: `domain.states.REQUEST`."""

    __tablename__ = "commitment_request"
    __table_args__ = (
        UniqueConstraint("calling_aet", "transaction_uid", "ordinal"),
        Index("ix_commitment_request_due", "due_at"),
        Index("ix_commitment_request_arriving", "received_at", sqlite_where=_ARRIVING, postgresql_where=_ARRIVING),
        Index("ix_commitment_request_abandoned", "id", sqlite_where=_ABANDONED, postgresql_where=_ABANDONED),
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    transaction_uid: Mapped[str]
    calling_aet: Mapped[str]
    ordinal: Mapped[int] = mapped_column(default=0)
    """0; above it: a list that differs from the first under the same Transaction UID, all of it refused."""
    called_aet: Mapped[str]
    address: Mapped[str]
    """Where the request came from, without port."""
    association: Mapped[str]
    instances: Mapped[list[Any]]
    """[SOP Class UID, SOP Instance UID] pairs."""
    state: Mapped[str]
    received_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    """When it is looked at, or reported, next; null once it is over."""
    claimed_by: Mapped[str] = mapped_column(default="")
    """The node that looks at it, or reports it, while `due_at` lies ahead for that reason."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Reports that did not get through, in a row."""
    report_until: Mapped[datetime | None]
    """Until when the modality is tried; null before it was judged."""
    arrived_at: Mapped[datetime | None]
    """When all that it lists was here: evidence, from then on, that its series are complete."""
    failures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Once judged: [FailureReason, why] by SOP Instance UID; all others are committed."""
    reason: Mapped[str] = mapped_column(default="")
    finished_at: Mapped[datetime | None]
