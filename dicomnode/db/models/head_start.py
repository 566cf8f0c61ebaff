"""The head start: which worker looks after which series that is still coming in, and what it brought in the end."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base


class HeadStart(Base):
    """A worker enhances slices of a series as they arrive, until the lease runs out. Gone with the series' completion.

    Only ever a convenience: what was made ahead lies in files, and without this row it would merely be made twice.
    """

    __tablename__ = "head_start"

    series_uid: Mapped[str] = mapped_column(ForeignKey("series.uid"), primary_key=True)
    worker: Mapped[str]
    lease_until: Mapped[datetime]
    takers: Mapped[int] = mapped_column(default=1)
    """How many processes began with it: a series that ends one after the other is left alone."""


class HeadStartTally(Base):
    """What head starts brought to the jobs of one worker, summed up in the transactions that committed them."""

    __tablename__ = "head_start_tally"

    worker: Mapped[str] = mapped_column(primary_key=True)
    taken: Mapped[int] = mapped_column(default=0)
    """Slices that were there already when the series was complete."""
    computed: Mapped[int] = mapped_column(default=0)
    """Slices of the same jobs that were not."""
    thrown_away: Mapped[int] = mapped_column(default=0)
    """Slices that were made and did not fit in the end."""
    seconds_saved: Mapped[float] = mapped_column(default=0.0)
