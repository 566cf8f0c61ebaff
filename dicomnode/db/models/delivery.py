"""Deliveries: one per destination and thing to deliver, with a row per instance."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.types import Identity


def _where(condition: str, name: str, *columns: str) -> Index:
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


class Delivery(Base):
    """State and arrows: `domain.states.DELIVERY`. `enhancement_id` is null for originals forwarded as they came."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("destination", "subject"),
        Index("ix_delivery_due", "destination", "state", "not_before"),
        Index("ix_delivery_destination", "destination", "id"),
        _where("state = 'pending'", "ix_delivery_next", "destination", "priority", "not_before", "id"),
        _where("state = 'sending'", "ix_delivery_sending", "lease_until"),
        _where("state <> 'pending' AND state <> 'sending'", "ix_delivery_over", "state", "id"),
        _where("confirm_at IS NOT NULL", "ix_delivery_confirm", "confirm_at"),
        _where(
            "finished_at IS NOT NULL", "ix_delivery_finished", "finished_at", "state", "destination", "enhancement_id"
        ),
        _where(
            "state = 'sent' AND confirm_at IS NULL AND confirmation <> ''", "ix_delivery_unconfirmed", "finished_at"
        ),
        _where("state = 'failed'", "ix_delivery_failed", "id"),
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    destination: Mapped[str]
    subject: Mapped[str]
    """What is delivered, once per destination: `enhancement:<id>`, `rejection:<id>` of such, or `series:<uid>`."""
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"), index=True)
    enhancement_id: Mapped[int | None] = mapped_column(ForeignKey("enhancement.id"), index=True)
    rule: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    """Consecutive attempts that ended without progress; resets when an instance goes through."""
    priority: Mapped[int] = mapped_column(default=1)
    """Smaller goes first, as in `Enhancement`."""
    not_before: Mapped[datetime]
    """When it may be sent; once it is sent, since when its destination is asked again (`orders.ask_again`)."""
    node: Mapped[str] = mapped_column(default="")
    """Which node sends it, or sent it last."""
    lease_until: Mapped[datetime | None]
    """While it is sent: until when it is that node's, on the database's clock."""
    claim: Mapped[int] = mapped_column(default=0)
    """Counts up with every claim: what comes of an earlier one no longer moves this row."""
    confirm_at: Mapped[datetime | None]
    """When the destination is asked next whether it keeps what it took; null: it is not asked (any more)."""
    confirm_attempts: Mapped[int] = mapped_column(default=0)
    """Times in a row that it was asked in vain, since it was last sent."""
    returns: Mapped[int] = mapped_column(default=0)
    """Times that instances were sent again because the destination did not keep what it took."""
    confirmation: Mapped[str] = mapped_column(default="")
    """The destination's last word on keeping it, or why there is none."""
    reason: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class DeliveryItem(Base):
    """One instance of a delivery: where its bytes are, and every word the destination said of it."""

    __tablename__ = "delivery_item"
    __table_args__ = (
        UniqueConstraint("delivery_id", "sop_uid"),
        Index("ix_delivery_item_open", "delivery_id", "state"),
        _where("status >= 45056 AND status <= 49151", "ix_delivery_item_warning", "delivery_id"),
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"))
    sop_uid: Mapped[str]
    sop_class_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    container: Mapped[str]
    offset: Mapped[int]
    length: Mapped[int]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    status: Mapped[int | None]
    """The last C-STORE response status; null while none has come."""
    detail: Mapped[str] = mapped_column(default="")
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    """When the destination vouched for this instance."""
    confirmed_by: Mapped[str] = mapped_column(default="")
    """`commitment`: it reported that it keeps it; `query`: its C-FIND named it; empty: it has not vouched."""
