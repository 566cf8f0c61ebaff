"""What turned out to be wrong after it was received: instances that were rejected, and what was derived from such."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.types import Identity

_DUE = text("note_due_at IS NOT NULL")


class Rejection(Base):
    """An instance that somebody rejected (IHE IOCM) or said to be gone, whether it is known here or not."""

    __tablename__ = "rejection"
    __table_args__ = (UniqueConstraint("source", "sop_uid"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    source: Mapped[str]
    """SOP Instance UID of the Key Object Selection document or of the Instance Availability Notification."""
    sop_uid: Mapped[str] = mapped_column(index=True)
    series_uid: Mapped[str] = mapped_column(index=True)
    code: Mapped[str]
    """Of the document's title, of `domain.rejection.TITLES`."""
    calling_aet: Mapped[str]
    noted_at: Mapped[datetime]


class Outdating(Base):
    """Why a derived series is outdated, and whether destinations that have it are still to be told."""

    __tablename__ = "outdating"
    __table_args__ = (Index("ix_outdating_due", "note_due_at", sqlite_where=_DUE, postgresql_where=_DUE),)

    enhancement_id: Mapped[int] = mapped_column(ForeignKey("enhancement.id"), primary_key=True)
    code: Mapped[str]
    """Of the title that a rejection note of it has, of `domain.rejection.TITLES`."""
    reason: Mapped[str]
    outdated_at: Mapped[datetime]
    note_due_at: Mapped[datetime | None]
    """When somebody sees next whether a rejection note is to be written; null: that is decided."""
    note_uid: Mapped[str] = mapped_column(default="")
    """SOP Instance UID of the note; empty: none was written (yet)."""
