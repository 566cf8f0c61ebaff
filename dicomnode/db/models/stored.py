"""Where bytes lie, and whether they still do: the columns that every row with bytes in a container has."""

from datetime import datetime

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapped, mapped_column


class Stored:
    """Bytes `[offset, offset + length)` of a container. The row outlives them."""

    container: Mapped[str] = mapped_column(index=True)
    offset: Mapped[int]
    length: Mapped[int]
    purged_at: Mapped[datetime | None]
    """When retention gave the bytes up; null while they are kept."""
    fault: Mapped[str] = mapped_column(default="")
    """Empty, `missing` or `damaged`: what the doctor found of bytes that should be there. Nothing reads them then."""

    @classmethod
    def kept(cls) -> ColumnElement[bool]:
        """The rows whose bytes are here and can be trusted."""
        return cls.purged_at.is_(None) & (cls.fault == "")

    @property
    def gone(self) -> str:
        """Why nothing may read the bytes: `purged`, `missing`, `damaged`; empty when they are kept."""
        return self.fault if self.purged_at is None else "purged"
