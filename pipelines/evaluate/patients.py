"""Leave one patient out: each body judged by a network that never saw it, with filters tuned on the others."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..simulate.bank import BODIES, HELDOUT
from ..volume import load_volume
from .bench import Bench, at_strength, ends_with
from .classical import tune
from .folds import unseen
from .heldout import BODY_I0, BODY_SLICES, simulate, tuning
from .markdown import table
from .methods import Network, filtered
from .outputs import Outputs, run
from .rows import Gain, Row, gain, measure

_NLM = ("NLM", "NLM by noise")


@dataclass(frozen=True)
class Patient:
    """One body: rows for the input, the best tuned NLM and both ends; the default end's gain over that NLM."""

    rows: list[Row]
    gain: Gain
    slices: int


@dataclass(frozen=True)
class Patients:
    """By body; `missing` have no weights that were trained without them."""

    title: ClassVar[str] = "Leave one patient out"
    found: dict[str, Patient]
    missing: list[str]
    strength: float

    def markdown(self) -> str:
        """How it was measured, a row for each method and body, and the paired gains."""
        head = ["held out", "method", "PSNR dB", "SSIM", "RMSE HU", "r2 20 HU", "r4 60 HU"]
        lines = [
            [body, row.name, f"{row.mean('psnr'):.2f} ± {row.spread('psnr'):.2f}", f"{row.mean('ssim'):.3f}",
             f"{row.mean('rmse'):.1f}", f"{row.contrast[2, 20]:.2f}", f"{row.contrast[4, 60]:.2f}"]
            for body, patient in self.found.items()
            for row in patient.rows
        ]  # fmt: skip
        gains = [
            f"{body}: {one.gain.mean:+.2f} dB (SD {one.gain.spread:.2f}, 95 % {one.gain.low:+.2f} to "
            f"{one.gain.high:+.2f} over {one.slices} slices), better on {one.gain.better}."
            for body, one in self.found.items()
        ]
        absent = (
            f" No weights trained without {' or '.join(self.missing)} are there; these bodies are left out."
            if self.missing
            else ""
        )
        return (
            "Each body at the dose that gives it the noise of the held-out patient's quarter dose, by a network "
            "trained on the others, against NLM tuned on the others. The networks of cxr and lung1 come from "
            "`python -m pipelines.gan.train --held-out NAME`, a shorter training than the shipped one. "
            f"± is the SD over slices.{absent}\n\n"
            + table(head, lines)
            + "\n\nGain in PSNR over the better NLM, paired by slice: "
            + " ".join(gains)
            + f" Mean over {len(self.found)} bodies: {np.mean([one.gain.mean for one in self.found.values()]):+.2f} dB."
            + " The intervals are over slices of one patient each, and say nothing of other patients."
        )


def measure_patients(bench: Bench) -> Patients:
    """Every body for which there are weights. Raises DataError."""
    found, missing = {}, []
    for body in BODIES:
        path = unseen(body, bench.weights)
        if path is None:
            missing.append(body)
        elif body == HELDOUT:
            found[body] = _patient(bench, bench.outputs, [bench.classical.name])
        else:
            found[body] = _other(bench, body, path)
    return Patients(found, missing, bench.strength)


def _other(bench: Bench, body: str, path: Path) -> Patient:
    tuned = tune([(one.noisy[1], one.clean) for one in tuning(bench.data, body)], bench.threads, _NLM)
    slices = simulate(load_volume(body, bench.data, with_labels=False), BODY_SLICES[body], BODY_I0[body])
    network = Network(path)
    methods = {one.name: filtered(one) for one in tuned}
    methods |= {name: network.at(1.0, texture) for name, texture in ends_with(bench.texture).items()}
    outputs = {name: run(name, method, slices, bench.threads) for name, method in methods.items()}
    return _patient(bench, outputs, list(_NLM))


def _patient(bench: Bench, outputs: dict[str, Outputs], filters: list[str]) -> Patient:
    classical = max((measure(name, outputs[name], 1.0) for name in filters), key=lambda row: row.mean("psnr"))
    ends = [
        measure(at_strength(name, bench.strength), outputs[name], bench.strength) for name in ends_with(bench.texture)
    ]
    headline = next(row for row in ends if row.name == at_strength(bench.headline, bench.strength))
    before = measure("input", outputs[filters[0]], 0.0)
    return Patient([before, classical, *ends], gain(headline, classical), len(outputs[filters[0]].slices))
