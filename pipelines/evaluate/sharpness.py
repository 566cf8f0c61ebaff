"""How sharp edges stay, by their contrast: the task transfer function of discs put into flat tissue.

A disc is put in as the simulated scanner shows it (projected, and reconstructed with the body kernel), the method is
run with and without it in the same noise, and the difference, averaged around discs and over realisations, is the edge
(Richard et al., Med Phys 39 (2012), 4115).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal.windows import tukey

from ..simulate.bank import HELDOUT
from ..simulate.lesions import disc
from ..simulate.parallel_beam import ParallelBeam
from ..volume import load_volume
from .bench import Bench
from .heldout import Slice
from .markdown import table
from .methods import Method

Image = NDArray[np.float32]
Array = NDArray[np.float64]
CONTRASTS = (30.0, 100.0, 300.0, 1000.0)
"""HU."""
RADIUS = 10.0
_HALF = 24
_APART = 48
_STEP = 0.25
_REACH = 8.0


@dataclass(frozen=True)
class Transfer:
    """Transfer over frequency (cycles/px), 1 at frequency 0, and where it falls to one half and to one tenth."""

    frequency: list[float]
    transfer: list[float]
    mtf50: float
    mtf10: float


@dataclass(frozen=True)
class Sharpness:
    """By label of the method, a curve for each contrast; `lost` against the input's, %, negative where sharper."""

    title: ClassVar[str] = "Sharpness of edges"
    curves: dict[str, list[Transfer]]
    discs: int

    def lost(self, label: str, contrast: float) -> tuple[float, float]:
        """Loss of MTF50 and of MTF10 at one contrast, %."""
        one, before = (self.curves[name][CONTRASTS.index(contrast)] for name in (label, "input"))
        return 100 * (1 - one.mtf50 / before.mtf50), 100 * (1 - one.mtf10 / before.mtf10)

    def markdown(self) -> str:
        """How it was measured, and a row for each method."""
        head = ["method", *(f"{contrast:g} HU" for contrast in CONTRASTS)]
        first = self.curves["input"]
        rows = [["input, cycles/px", *(f"{one.mtf50:.3f} / {one.mtf10:.3f}" for one in first)]]
        for label in list(self.curves)[1:]:
            rows.append([label, *("{:+.1f} % / {:+.1f} %".format(*self._change(label, c)) for c in CONTRASTS)])
        return (
            f"Task transfer function of discs of {RADIUS:g} px radius, as the simulated scanner shows them, in flat "
            f"tissue ({self.discs} places, quarter dose): the frequency at which it falls to one half (MTF50) and to "
            "one tenth (MTF10) for the input, and the change of both for the others, by the contrast of the edge.\n\n"
            + table(head, rows)
        )

    def _change(self, label: str, contrast: float) -> tuple[float, float]:
        mtf50, mtf10 = self.lost(label, contrast)
        return -mtf50, -mtf10


def measure_sharpness(bench: Bench) -> Sharpness:
    """Discs of every contrast in every slice with flat tissue. Raises DataError."""
    form = scanned_disc(load_volume(HELDOUT, bench.data, with_labels=False).spacing[1])
    flat = [one for one in bench.slices if one.places]
    places = [_apart(one) for one in flat]
    edges = {}
    for name, method in bench.methods().items():
        before = [image for one, image in zip(bench.slices, bench.outputs[name].images, strict=True) if one.places]
        edges[name] = [_edge(bench, method, list(zip(flat, places, before, strict=True)), form, c) for c in CONTRASTS]
    given = [contrast * profile([form]) for contrast in CONTRASTS]
    curves = {}
    for variant in bench.variants():
        pairs = zip(given, edges[variant.method], strict=True)
        curves[variant.label] = [transfer(a + variant.strength * (b - a)) for a, b in pairs]
    return Sharpness(curves, sum(map(len, places)))


def scanned_disc(pixel_mm: float) -> Image:
    """A disc of height 1 in the middle of (2 * _HALF + 1) px squared, as the scanner shows it with the body kernel."""
    size = 2 * _HALF + 2
    sharp = torch.from_numpy(disc((size, size), (_HALF, _HALF), RADIUS))
    beam = ParallelBeam(size, pixel_mm)
    shown: Image = beam.reconstruct(beam.project(sharp)[None], "hann")[0].numpy()
    return shown[:-1, :-1]


def profile(differences: list[Image]) -> Array:
    """Mean over angle of the edge, from RADIUS - _REACH to RADIUS + _REACH in steps of _STEP px."""
    axis = np.arange(-_HALF, _HALF + 1)
    distance = np.hypot(axis[:, None], axis[None]).ravel()
    mean = np.mean(np.stack(differences), 0).ravel()
    wanted = np.arange(RADIUS - _REACH, RADIUS + _REACH + _STEP, _STEP)
    near = np.clip(1 - np.abs(distance[None] - wanted[:, None]) / 0.6, 0, None)
    values: Array = (near @ mean) / near.sum(1)
    return values


def transfer(edge: Array) -> Transfer:
    """From an edge in steps of _STEP px to its transfer."""
    line = np.diff(edge) * tukey(len(edge) - 1, 0.4)
    padded = 2048
    spectrum: Array = np.abs(np.fft.rfft(line, padded))
    frequency: Array = np.arange(int(padded * _STEP) + 1) / (padded * _STEP)
    curve = spectrum[: len(frequency)] / spectrum[0]
    return Transfer(
        frequency.tolist(),
        curve.tolist(),
        _falls(frequency, curve, 0.5),
        _falls(frequency, curve, 0.1),
    )


def _falls(frequency: Array, curve: Array, to: float) -> float:
    """The first frequency at which the curve is at `to`, between samples; the last one if it never is."""
    below = np.flatnonzero(curve < to)
    if len(below) == 0:
        return float(frequency[-1])
    after = int(below[0])
    share = (curve[after - 1] - to) / (curve[after - 1] - curve[after])
    return float(frequency[after - 1] + share * (frequency[after] - frequency[after - 1]))


def _apart(one: Slice) -> list[tuple[int, int]]:
    """Places whose discs do not reach into each other or out of the slice, flattest first."""
    kept: list[tuple[int, int]] = []
    for row, column in one.places:
        inside = all(_HALF <= at < length - _HALF for at, length in zip((row, column), one.clean.shape, strict=True))
        if inside and all(max(abs(row - r), abs(column - c)) >= _APART for r, c in kept):
            kept.append((row, column))
    return kept


def _edge(
    bench: Bench, method: Method, cases: list[tuple[Slice, list[tuple[int, int]], Image]], form: Image, contrast: float
) -> Array:
    """The mean edge that the method lets through, HU."""

    def one(case: tuple[Slice, list[tuple[int, int]], Image]) -> list[Image]:
        each, places, before = case
        stack = each.noisy.copy()
        around = [(slice(r - _HALF, r + _HALF + 1), slice(c - _HALF, c + _HALF + 1)) for r, c in places]
        for window in around:
            stack[1][window] += np.float32(contrast) * form
        change = method(stack) - before
        return [change[window] for window in around]

    return profile([image for images in bench.each(one, cases) for image in images])
