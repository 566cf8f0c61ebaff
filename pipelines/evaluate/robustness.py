"""Off the one dose: a sweep of doses, other kernels, another scanner's noise, another anatomy, and what the guards say.

A slice is worth withholding if what would go out, at the default parameters and after the guards have bounded it, is
worse than its input: a higher error in the body, a lower PSNR, or a mean error beyond 5 HU.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dicomnode.enhance.api import Verdict

from ..data import DataError
from ..simulate.bank import HELDOUT
from ..simulate.ct_dose import QUARTER_DOSE_I0, Dose
from ..volume import load_volume
from .bench import Bench, Variant
from .figures import psnr, rmse
from .heldout import Slice, simulated
from .markdown import table
from .methods import Image, Method

SLICES = range(6, 60, 8)
SWEEP = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the quarter dose."""
WORST_BIAS_HU = 5.0


@dataclass(frozen=True)
class Figures:
    """Means over the slices of one case: PSNR in dB, RMSE and mean error in the body in HU."""

    psnr: float
    rmse: float
    bias: float


@dataclass(frozen=True)
class Case:
    """One dose, kernel, scanner or anatomy: figures by label, the guards' verdicts, and what got past them."""

    figures: dict[str, Figures]
    slices: int
    flagged: int
    withheld: int
    worse: int
    """Slices worth withholding."""
    passed: int
    """Those of them that the guards did not withhold."""


@dataclass(frozen=True)
class Robustness:
    """By name of the case; `labels` of the methods in order; `sweep` names the cases of the doses."""

    title: ClassVar[str] = "Robustness"
    cases: dict[str, Case]
    labels: list[str]
    sweep: dict[float, str]
    left_out: dict[str, str]
    """Cases whose data or program is not there, and the reason."""

    @property
    def passed(self) -> int:
        """Slices of the dose sweep that were worth withholding and were not withheld."""
        return sum(self.cases[name].passed for name in self.sweep.values())

    def lost(self) -> list[str]:
        """Where the classical filter, the second of the labels, has more PSNR than every network, in figures."""
        _, classical, *ends = self.labels
        found = {name: (own.figures[classical].psnr, max(own.figures[end].psnr for end in ends))
                 for name, own in self.cases.items()}  # fmt: skip
        return [f"{name} ({one:.2f} against {other:.2f} dB)" for name, (one, other) in found.items() if one > other]

    def markdown(self) -> str:
        """How it was measured, PSNR and RMSE of each method, and the verdicts."""
        head = ["case", *self.labels, "flagged", "withheld", "worth withholding", "of these let through"]
        rows = [
            [name, *(f"{own.figures[label].psnr:.2f} / {own.figures[label].rmse:.1f}" for label in self.labels),
             f"{own.flagged} of {own.slices}", f"{own.withheld} of {own.slices}", str(own.worse), str(own.passed)]
            for name, own in self.cases.items()
        ]  # fmt: skip
        return (
            "PSNR in dB / RMSE in the body in HU, means over slices, and the guards' verdicts on single slices at the "
            "default parameters. Worth withholding: what would go out, bounded by the guards, has a higher RMSE or a "
            f"lower PSNR than its input, or a mean error beyond {WORST_BIAS_HU:g} HU. The reference has noise of its "
            "own, which counts against whatever removes it.\n\n"
            + table(head, rows)
            + f"\n\n{self.labels[1]} does better than the network on: {', '.join(self.lost()) or 'none of these'}."
            + "".join(f"\n\nLeft out, {name}: {reason}" for name, reason in self.left_out.items())
        )


def measure_robustness(bench: Bench, others: Mapping[str, Callable[[], list[Slice]]]) -> Robustness:
    """The held-out patient off its dose, then `others`: slices by name of the case. Raises DataError."""
    volume = load_volume(HELDOUT, bench.data, with_labels=False)
    sweep = {share: f"{share:g} x quarter dose" for share in SWEEP}
    doses = {name: Dose(share * QUARTER_DOSE_I0) for share, name in sweep.items()}
    doses |= {"soft kernel": Dose(QUARTER_DOSE_I0, "soft"), "sharp kernel": Dose(QUARTER_DOSE_I0, "ramp")}
    methods = bench.methods()
    variants = [one for one in bench.variants() if one.strength in (0.0, 1.0, bench.strength)]
    cases = {}
    for name, dose in doses.items():
        slices = list(bench.each(lambda z, dose=dose: simulated(volume, z, dose), list(SLICES)))  # type: ignore[misc]
        cases[name] = judged_case(bench, slices, variants, methods)
    left_out = {}
    for name, made in others.items():
        try:
            cases[name] = judged_case(bench, made(), variants, methods)
        except DataError as error:
            left_out[name] = str(error)
    return Robustness(cases, [one.label for one in variants], sweep, left_out)


def judged_case(bench: Bench, slices: list[Slice], variants: list[Variant], methods: dict[str, Method]) -> Case:
    """Every variant and the guards on the slices."""
    full = {name: list(bench.each(method, [one.noisy for one in slices])) for name, method in methods.items()}
    figures = {}
    for variant in variants:
        outputs = full[variant.method]
        blends = [
            one.noisy[1] + np.float32(variant.strength) * (image - one.noisy[1])
            for one, image in zip(slices, outputs, strict=True)
        ]
        rows = [measured(image, one) for image, one in zip(blends, slices, strict=True)]
        figures[variant.label] = Figures(*(float(value) for value in np.mean(rows, 0)))
    judged = [bench.network.judged(one.noisy) for one in slices]
    verdicts = [verdict for _, verdict in judged]
    worse = [worth_withholding(image, one) for (image, _), one in zip(judged, slices, strict=True)]
    return Case(
        figures,
        len(slices),
        verdicts.count(Verdict.FLAG),
        verdicts.count(Verdict.WITHHOLD),
        sum(worse),
        sum(bad and verdict is not Verdict.WITHHOLD for bad, verdict in zip(worse, verdicts, strict=True)),
    )


def measured(image: Image, one: Slice) -> tuple[float, float, float]:
    """PSNR in dB, RMSE and mean error in the body in HU."""
    error = float((image - one.clean)[one.inside].mean())
    return psnr(image, one.clean), rmse(image, one.clean, one.inside), error


def worth_withholding(image: Image, one: Slice) -> bool:
    """Whether a hospital is better off with the input."""
    gained, error, bias = measured(image, one)
    before, error_before, _ = measured(one.noisy[1], one)
    return error > error_before or gained < before or abs(bias) > WORST_BIAS_HU
