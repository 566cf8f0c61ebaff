"""The nodes that share the database, and what operators have stopped on all of them."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base


class NodeRow(Base):
    """A node's sign of life, on the database's clock. One that has been silent too long is dead: others take over."""

    __tablename__ = "node"

    name: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str]
    """Drawn anew at every start."""
    version: Mapped[str]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    """When it said goodbye; null while it runs, or when it died."""
    store: Mapped[str] = mapped_column(default="")
    """Which folder it works on: the name that lies in it. Nodes of one database share one."""
    taken_by: Mapped[str] = mapped_column(default="")
    """The node that looks after what this one left, since it fell silent; empty while it lives."""


class Hold(Base):
    """Something that an operator stopped, until somebody lets it go on. `name` is empty where there is but one.

    kind  `enhancing`: the stop switch (originals flow); `jobs`: nothing is claimed, of one pipeline if `name` says so;
          `destination`: nothing is sent to the one of that name
    """

    __tablename__ = "hold"

    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    by: Mapped[str]
    reason: Mapped[str]
    since: Mapped[datetime]
