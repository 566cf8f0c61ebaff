"""CT: quarter-dose noise from the projections of three open bodies."""

from pathlib import Path

from ..evaluate.heldout import tuning
from ..simulate.bank import Case, load_cases
from ..simulate.crops import Batch, draw
from .plan import Plan
from .validate import Validation


class CTTask:
    """The task of ct-denoise; see `Task`."""

    pipeline = "ct-denoise"
    unit = 40.0
    plan = Plan()

    def cases(self, data: Path, training: Path, held_out: str) -> list[Case]:
        return load_cases(data, training, held_out=held_out)

    def draw(self, cases: list[Case], seed: tuple[int, ...], count: int, size: int) -> Batch:
        return draw(cases, seed, count, size)

    def validation(self, data: Path, held_out: str) -> Validation:
        return Validation(tuning(data, held_out))
