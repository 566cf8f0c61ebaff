"""What a modality brings to the trainer; everything else about training is the same for all of them."""

from pathlib import Path
from typing import Protocol

from ..simulate.bank import Case
from ..simulate.crops import Batch
from .plan import Plan
from .validate import Validation


class Task(Protocol):
    """Training data and their scale.

    pipeline  the name of the pipeline that will run the weights
    unit      the intensity that counts as a difference, in the units of its images (40 HU for CT)
    plan      the settings of the run that is shipped
    """

    pipeline: str
    unit: float
    plan: Plan

    def cases(self, data: Path, training: Path, held_out: str) -> list[Case]:
        """The training patients without the one that is held out. Raises DataError."""
        ...

    def draw(self, cases: list[Case], seed: tuple[int, ...], count: int, size: int) -> Batch:
        """A batch, a function of its seed alone, made on the device that holds the cases."""
        ...

    def validation(self, data: Path, held_out: str) -> Validation:
        """Slices of the training patients that no step sees. Raises DataError."""
        ...
