"""One row of the table: a method's figures over the slices."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .contrast import DISCS, kept
from .figures import psnr, rmse, ssim
from .heldout import Slice
from .methods import Method
from .texture import noise_texture

MEASURES = ("psnr", "ssim", "rmse", "bias", "noise", "grain")
"""dB; 0..1; HU in the body; mean HU error in the body; HU in flat tissue; mean NPS frequency there, cycles/px."""


@dataclass(frozen=True)
class Row:
    """Figures of one method, slice by slice; `contrast` is the mean share kept of each kind of disc."""

    name: str
    values: dict[str, list[float]]
    contrast: dict[tuple[int, int], float]

    def mean(self, measure: str) -> float:
        return float(np.mean(self.values[measure]))

    def spread(self, measure: str) -> float:
        return float(np.std(self.values[measure], ddof=1))


def measure(name: str, method: Method, slices: Sequence[Slice], threads: int) -> Row:
    """Run the method on every slice and on every slice with discs in it."""

    def one(each: Slice) -> tuple[dict[str, float], dict[tuple[int, int], float]]:
        image = method(each.noisy)
        figures = {
            "psnr": psnr(image, each.clean),
            "ssim": ssim(image, each.clean, each.inside),
            "rmse": rmse(image, each.clean, each.inside),
            "bias": float((image - each.clean)[each.inside].mean()),
        }
        if each.places:
            figures["noise"], figures["grain"] = noise_texture(image, each.places)
        return figures, kept(method, each.noisy, each.places) if each.places else {}

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(one, slices))
    values = {key: [figures[key] for figures, _ in results if key in figures] for key in MEASURES}
    shares = [share for _, share in results if share]
    return Row(name, values, {kind: float(np.mean([share[kind] for share in shares])) for kind in DISCS})


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
