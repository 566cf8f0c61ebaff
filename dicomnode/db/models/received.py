"""What came over the network: associations, containers and the instances in them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.models.stored import Stored
from dicomnode.db.types import Identity

_QUARANTINED = text("kind = 'conflict' AND settled_at IS NULL")


class Association(Base):
    """One association, as its receiver noted it. `closed_at` is null while it is open."""

    __tablename__ = "association"

    id: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str] = mapped_column(index=True)
    calling_aet: Mapped[str] = mapped_column(index=True)
    called_aet: Mapped[str]
    peer: Mapped[str]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[str] = mapped_column(default="open")
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Container(Base):
    """How far the index has read a container: members up to `indexed_to` are in SQL."""

    __tablename__ = "container"

    name: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str] = mapped_column(index=True)
    indexed_to: Mapped[int] = mapped_column(default=0)
    removed_at: Mapped[datetime | None]
    """When retention removed the file, all of whose instances it had given up."""


class Instance(Stored, Base):
    """A stored SOP instance: the first bytes that came under its UID, or came again after those were given up."""

    __tablename__ = "instance"

    sop_uid: Mapped[str] = mapped_column(primary_key=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"), index=True)
    sop_class_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    sha256: Mapped[str]
    instance_number: Mapped[int | None]
    acquisition_number: Mapped[int | None]
    images_in_acquisition: Mapped[int | None]
    is_image: Mapped[bool]
    association: Mapped[str]
    calling_aet: Mapped[str]
    received_at: Mapped[datetime]
    generation: Mapped[int | None]
    """The first generation of the series that holds this instance; null until the series completed with it."""


class InstanceVersion(Stored, Base):
    """Other bytes that came under a known UID: a variant, a correction or a conflict (the last one quarantined)."""

    __tablename__ = "instance_version"
    __table_args__ = (
        UniqueConstraint("sop_uid", "sha256"),
        Index("ix_instance_version_open", "id", sqlite_where=_QUARANTINED, postgresql_where=_QUARANTINED),
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    sop_uid: Mapped[str] = mapped_column(ForeignKey("instance.sop_uid"))
    kind: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    sha256: Mapped[str]
    association: Mapped[str]
    received_at: Mapped[datetime]
    differences: Mapped[list[Any]]
    settled_at: Mapped[datetime | None]
    """When somebody said that this conflict has been looked at; until then retention keeps the whole series."""


class Manifest(Base):
    """A sender's own list of what a series holds (key object document): evidence once all of it is here."""

    __tablename__ = "manifest"
    __table_args__ = (UniqueConstraint("source", "series_uid"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    source: Mapped[str]
    series_uid: Mapped[str] = mapped_column(index=True)
    calling_aet: Mapped[str]
    sop_uids: Mapped[list[Any]]
