"""Destinations that cannot be sent to now, as the nodes that tried found out."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base


class Outage(Base):
    """One destination is down for all nodes: a single attempt goes out at `next_at`. The row goes when it answers.

    kind  `network`        no association comes about, or it brings no answer
          `resources`      it answers that it is out of them (A7xx)
          `configuration`  it refuses the association for good, or TLS fails: people have to change something
    """

    __tablename__ = "outage"

    destination: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    since: Mapped[datetime]
    attempts: Mapped[int]
    """Attempts that failed in a row."""
    next_at: Mapped[datetime]
    reason: Mapped[str]
