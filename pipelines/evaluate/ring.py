"""Fourier ring correlation by patch: at what detail does an image still agree with the reference?

A filter that only weighs frequencies leaves it as it is; one that recovers detail raises it, one that draws detail of
its own lowers it (van Heel and Schatz, J Struct Biol 151 (2005), 250).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .bench import Bench
from .figures import Mask
from .markdown import table

Image = NDArray[np.float32]
Array = NDArray[np.float64]
PATCH = 64
_WORSE = 0.02
_AGREES = 0.5


@dataclass(frozen=True)
class Agreement:
    """mean over rings and patches; cut-off frequency of one half, cycles/px; share of patches worse than the input."""

    mean: float
    cutoff: float
    worse: float


@dataclass(frozen=True)
class Ring:
    """By label of the method, over `patches`."""

    title: ClassVar[str] = "Agreement by detail"
    found: dict[str, Agreement]
    patches: int

    def markdown(self) -> str:
        """How it was measured, and a row for each method."""
        rows = [[k, f"{one.mean:.3f}", f"{one.cutoff:.3f}", f"{one.worse:.1%}"] for k, one in self.found.items()]
        return (
            f"Fourier ring correlation with the reference in {self.patches} patches of {PATCH} x {PATCH} px inside the "
            "body: its mean over frequencies up to 0.5 cycles/px, the frequency at which the mean curve falls to one "
            f"half, and the share of patches where the mean is lower than the input's by more than {_WORSE:g}. The "
            "reference's own noise is in the input too, so that whatever removes it agrees less in fine detail.\n\n"
            + table(["method", "mean", "falls to 1/2 at c/px", "worse patches"], rows)
        )


def measure_ring(bench: Bench) -> Ring:
    """From the outputs that are there already."""
    curves = {}
    for variant in bench.variants():
        rows = [
            ring_correlation(bench.outputs[variant.method].image(number, variant.strength)[at], one.clean[at])
            for number, one in enumerate(bench.slices)
            for at in patches(one.inside)
        ]
        curves[variant.label] = np.stack(rows)
    before = curves["input"].mean(1)
    found = {
        label: Agreement(float(own.mean()), _cutoff(own.mean(0)), float((own.mean(1) < before - _WORSE).mean()))
        for label, own in curves.items()
    }
    return Ring(found, len(before))


def patches(inside: Mask) -> list[tuple[slice, slice]]:
    """Patches on a grid that lie in the mask as a whole."""
    rows, columns = (range(0, length - PATCH + 1, PATCH // 2) for length in inside.shape)
    grid = [(slice(r, r + PATCH), slice(c, c + PATCH)) for r in rows for c in columns]
    return [at for at in grid if inside[at].all()]


def ring_correlation(image: Image, reference: Image) -> Array:
    """Correlation in rings of one sample, from the first to half the sampling frequency. (size / 2,)."""
    size = len(image)
    window = np.outer(np.hanning(size), np.hanning(size))
    one, two = (np.fft.fft2((each - each.mean()) * window) for each in (image, reference))
    axis = np.fft.fftfreq(size, 1 / size)
    ring = np.rint(np.hypot(axis[:, None], axis[None])).astype(int).ravel()
    cross = np.bincount(ring, (one * two.conj()).real.ravel())
    powers = [np.bincount(ring, (np.abs(each) ** 2).ravel()) for each in (one, two)]
    correlation: Array = (cross / np.sqrt(powers[0] * powers[1]))[1 : size // 2 + 1]
    return correlation


def _cutoff(curve: Array) -> float:
    """The first ring below one half, in cycles/px; half the sampling frequency if there is none."""
    below = np.flatnonzero(curve < _AGREES)
    return float((int(below[0]) + 1) / (2 * len(curve))) if len(below) else 0.5
