"""The whole evaluation: tune and choose on the training patients, then measure on the held-out one."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..ct_denoise import CTDenoise
from ..simulate.ct_dose import QUARTER_DOSE_I0
from .classical import Tuned, tune
from .figures import psnr
from .heldout import Slice, heldout, tuning
from .methods import Network, filtered, unchanged
from .rows import Gain, Row, gain, measure
from .texture import noise_texture

STRENGTHS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
WANTED_GAIN_DB = 1.0
"""Over the best classical filter, on the held-out patient."""
SLAB_GAIN_DB = 1.2
"""The same on the training patients' slices, where the strength is chosen: a margin for a patient never seen."""


@dataclass(frozen=True)
class Evaluation:
    """All that the table and the card are written from."""

    strength: float
    i0: float
    tuned: list[Tuned]
    by_strength: dict[float, float]
    """PSNR of the adversarial end on the training patients' slabs: the strength is chosen on these."""
    chosen_strength: float
    """The lowest strength that gains SLAB_GAIN_DB over the best classical filter there; 1 if none does."""
    rows: list[Row]
    best_classical: str
    gain: Gain
    reference: tuple[float, float]
    """Noise (HU) and grain (cycles/px) of the reference itself in flat tissue."""
    slices: int
    seconds: float

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)


def evaluate(data: Path, weights: Path, threads: int) -> Evaluation:
    """Tune, choose, then measure on the held-out patient. Raises DataError."""
    began = time.monotonic()
    network, strength = Network(weights), float(CTDenoise.Params().strength)
    slab = tuning(data)
    tuned = tune([(one.noisy[1], one.clean) for one in slab], threads)
    by_strength = {value: _slab_psnr(network, value, slab) for value in STRENGTHS}
    slices = heldout(data)
    classical = [measure(one.name, filtered(one), slices, threads) for one in tuned]
    best = max(classical, key=lambda row: row.mean("psnr"))
    best_filter = next(one for one in tuned if one.name == best.name)
    wanted = {
        f"{best.name}, strength {strength:g}": filtered(best_filter, strength),
        f"pixel stage, strength {strength:g}": network.at(strength, 0.0),
        f"adversarial stage, strength {strength:g}": network.at(strength, 1.0),
        f"adversarial stage, strength {strength:g}, guarded": network.at(strength, 1.0, guarded=True),
        "pixel stage, strength 1": network.at(1.0, 0.0),
        "adversarial stage, strength 1": network.at(1.0, 1.0),
    }
    rows = [measure("input", unchanged, slices, threads), *classical]
    rows += [measure(name, method, slices, threads) for name, method in wanted.items()]
    headline = next(row for row in rows if row.name == f"adversarial stage, strength {strength:g}")
    textures = [noise_texture(one.clean, one.places) for one in slices if one.places]
    return Evaluation(
        strength=strength,
        i0=QUARTER_DOSE_I0,
        tuned=tuned,
        by_strength=by_strength,
        chosen_strength=_choose(by_strength, max(one.psnr for one in tuned)),
        rows=rows,
        best_classical=best.name,
        gain=gain(headline, best),
        reference=(_mean(noise for noise, _ in textures), _mean(grain for _, grain in textures)),
        slices=len(slices),
        seconds=time.monotonic() - began,
    )


def _choose(by_strength: dict[float, float], classical: float) -> float:
    """As little of the network as gives the wanted gain: small faint structures fade with strength."""
    enough = [value for value, psnr in by_strength.items() if psnr >= classical + SLAB_GAIN_DB]
    return min(enough, default=1.0)


def _slab_psnr(network: Network, strength: float, slab: list[Slice]) -> float:
    """Mean PSNR of the adversarial end on the slab, dB."""
    method = network.at(strength, 1.0)
    return _mean(psnr(method(one.noisy), one.clean) for one in slab)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
