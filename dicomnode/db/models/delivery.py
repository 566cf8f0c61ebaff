"""Deliveries: one per destination and thing to deliver, with a row per instance."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.types import Identity


class Delivery(Base):
    """State and arrows: `domain.states.DELIVERY`. `enhancement_id` is null for originals forwarded as they came."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("destination", "subject"),
        Index("ix_delivery_due", "destination", "state", "not_before"),
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    destination: Mapped[str]
    subject: Mapped[str]
    """`enhancement:<id>` or `series:<uid>`: what is delivered, once per destination."""
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"), index=True)
    enhancement_id: Mapped[int | None] = mapped_column(ForeignKey("enhancement.id"), index=True)
    rule: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    """Consecutive attempts that ended without progress; resets when an instance goes through."""
    not_before: Mapped[datetime]
    reason: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class DeliveryItem(Base):
    """One instance of a delivery: where its bytes are, and every word the destination said of it."""

    __tablename__ = "delivery_item"
    __table_args__ = (
        UniqueConstraint("delivery_id", "sop_uid"),
        Index("ix_delivery_item_open", "delivery_id", "state"),
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
