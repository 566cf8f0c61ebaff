"""The drift watch: what each series measured, and a control chart for each scanner, kernel and protocol."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.types import Identity


class InputStatistic(Base):
    """What the guards measured on the input of one run."""

    __tablename__ = "input_statistic"
    __table_args__ = (Index("ix_input_statistic_group", "scanner", "kernel", "protocol", "pipeline"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    enhancement_id: Mapped[int] = mapped_column(ForeignKey("enhancement.id"))
    scanner: Mapped[str]
    """Manufacturer, model, and a hash of the serial number."""
    kernel: Mapped[str]
    protocol: Mapped[str]
    pipeline: Mapped[str]
    sigma: Mapped[float | None]
    """Noise of the input, mean over its slices, physical units."""
    frequency: Mapped[float | None]
    """Mean frequency of that noise, cycles per pixel."""
    at: Mapped[datetime]


class DriftState(Base):
    """The control chart of one quantity of one group (`domain.ewma.Chart`), on the scale it is charted on."""

    __tablename__ = "drift_state"
    __table_args__ = (UniqueConstraint("scanner", "kernel", "protocol", "pipeline", "quantity"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    scanner: Mapped[str]
    kernel: Mapped[str]
    protocol: Mapped[str]
    pipeline: Mapped[str]
    quantity: Mapped[str]
    """`sigma` (its logarithm is charted) or `frequency`."""
    count: Mapped[int]
    mean: Mapped[float]
    squares: Mapped[float]
    average: Mapped[float]
    state: Mapped[str]
    """`learning`, `in control` or `alarm`."""
    updated_at: Mapped[datetime]
