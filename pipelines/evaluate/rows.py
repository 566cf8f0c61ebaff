"""One row of the table: a method's figures over the slices at one strength."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .contrast import DISCS, Kind
from .figures import psnr, rmse, ssim
from .outputs import Outputs
from .texture import noise_texture

MEASURES = ("psnr", "ssim", "rmse", "bias", "noise", "grain")
"""dB; 0..1; HU in the body; mean HU error in the body; HU in flat tissue; mean NPS frequency there, cycles/px."""


@dataclass(frozen=True)
class Row:
    """Figures of one method, slice by slice; `contrast` is the mean share kept of each kind of disc."""

    name: str
    values: dict[str, list[float]]
    contrast: dict[Kind, float]

    def mean(self, measure: str) -> float:
        return float(np.mean(self.values[measure]))

    def spread(self, measure: str) -> float:
        return float(np.std(self.values[measure], ddof=1))


def measure(name: str, outputs: Outputs, strength: float) -> Row:
    """The figures of a method's outputs at a strength."""
    values: dict[str, list[float]] = {key: [] for key in MEASURES}
    for number, each in enumerate(outputs.slices):
        image = outputs.image(number, strength)
        values["psnr"].append(psnr(image, each.clean))
        values["ssim"].append(ssim(image, each.clean, each.inside))
        values["rmse"].append(rmse(image, each.clean, each.inside))
        values["bias"].append(float((image - each.clean)[each.inside].mean()))
        if each.places:
            noise, grain = noise_texture(image, each.places)
            values["noise"].append(noise)
            values["grain"].append(grain)
    return Row(name, values, {kind: outputs.kept(kind, strength) for kind in DISCS})


@dataclass(frozen=True)
class Gain:
    """Paired difference in PSNR, dB: mean, SD, 95 % interval (t) over the slices of one patient, and slices won."""

    mean: float
    spread: float
    low: float
    high: float
    better: int
    median: float


def gain(better: Row, than: Row) -> Gain:
    """How much PSNR one row has over another, slice by slice."""
    difference = np.subtract(better.values["psnr"], than.values["psnr"])
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    half = float(stats.t.ppf(0.975, len(difference) - 1)) * spread / float(np.sqrt(len(difference)))
    return Gain(mean, spread, mean - half, mean + half, int((difference > 0).sum()), float(np.median(difference)))
