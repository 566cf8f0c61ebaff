"""A phantom with faint rods, scanned and reconstructed by gecatsim: the training's simulator had no part in it.

An ellipse of soft tissue with rods in a grid. The scanner shows it without noise, with the rods and without; noise of
other scans is added to both, so that what a method does to a rod is seen without the noise, and what it does to the
noise without the rods.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..simulate.lesions import disc
from ..simulate.scanner import QUARTER_DOSE_MA, Scan
from ..simulate.scanner_bank import banked_image, banked_noise, three
from ..volume import Volume
from .bench import Bench
from .markdown import table
from .methods import Method
from .observer import CHANNELS, Responses, channels, detectability
from .texture import noise_texture

Image = NDArray[np.float32]
Array = NDArray[np.float64]
SIZE, PIXEL_MM = 512, 0.63
AXES_MM = (150.0, 115.0)
"""Half the width and half the height of the body: an adult's chest."""
TISSUE_HU = 50.0
RODS = ((2.0, 20.0), (2.0, 60.0), (4.0, 20.0), (4.0, 60.0), (3.0, 10.0), (4.0, 7.0), (5.5, 5.0), (8.0, 3.0))
"""Radius in px and contrast in HU: those whose contrast is measured in patients, then those that are looked for."""
SCANS = {
    "quarter dose": Scan(ma=QUARTER_DOSE_MA["soft"]),
    "full dose": Scan(ma=4 * QUARTER_DOSE_MA["soft"]),
}
DRAWS = 4
"""Scans at each dose; each serves twice, the second time turned by half a turn, as the body may be."""
_APART = 40
_MARGIN_MM = 16.0
_REGION = 29
_CHANNEL_WIDTH = 4 / 3


@dataclass(frozen=True)
class Realisation:
    """Stacks of three slices, (3, H, W) HU, with the rods and without in the same noise."""

    absent: Image
    present: Image


@dataclass(frozen=True)
class Figures:
    """Noise in HU and its mean frequency in cycles/px, and for each rod the share of its contrast and d'."""

    noise: float
    frequency: float
    kept: list[float]
    detected: list[float]


@dataclass(frozen=True)
class PhantomFound:
    """By dose, by label of the method."""

    title: ClassVar[str] = "A phantom from another simulator"
    figures: dict[str, dict[str, Figures]]
    places: int

    def markdown(self) -> str:
        """How it was measured, and two tables for each dose."""
        names = [f"r{radius:g} {contrast:g} HU" for radius, contrast in RODS]
        text = (
            f"An ellipse of soft tissue of {2 * AXES_MM[0]:g} x {2 * AXES_MM[1]:g} mm with {self.places} rods (radius "
            f"in px of {PIXEL_MM:g} mm, contrast in HU), scanned by gecatsim (120 kVp, bowtie, fan beam, its own "
            f"reconstruction) at two doses, {2 * DRAWS} realisations each. Rods run through all three slices. First "
            "the share of contrast that is kept, without the noise; then d' of the channelised Hotelling observer of "
            "the task above, one half of the places tried with the template of the other."
        )
        for dose, rows in self.figures.items():
            kept = [
                [label, f"{one.noise:.1f}", f"{one.frequency:.3f}", *(f"{100 * value:.0f} %" for value in one.kept)]
                for label, one in rows.items()
            ]
            seen = [
                [label, *(f"{value:.2f}" for value in one.detected), f"{np.mean(one.detected):.2f}"]
                for label, one in rows.items()
            ]
            text += f"\n\nAt {dose}:\n\n" + table(["method", "noise HU", "frequency c/px", *names], kept)
            text += "\n\n" + table(["d'", *names, "mean"], seen)
        return text


def measure_phantom(bench: Bench, training: Path) -> PhantomFound:
    """Every method on every realisation. Raises DataError where a scan is not in the bank and gecatsim not there.

    The scans take some three minutes of one core the first time.
    """
    return PhantomFound(
        {dose: _figures(bench, list(realisations(scan, training)), scan, training) for dose, scan in SCANS.items()},
        len(places()),
    )


def places() -> list[tuple[int, int]]:
    """Centres of the rods: (row, column) px on a grid, well inside the body."""
    centre = (SIZE - 1) // 2
    steps = range(-SIZE // (2 * _APART) + 1, SIZE // (2 * _APART))
    grid = [(centre + _APART * i, centre + _APART * j) for i in steps for j in steps]
    return [place for place in grid if _within(*place)]


def rod(number: int) -> tuple[float, float]:
    """Radius and contrast of the rod at a place: kinds take turns."""
    return RODS[number % len(RODS)]


def realisations(scan: Scan, training: Path) -> Iterator[Realisation]:
    """Every realisation at one dose. Raises DataError."""
    volume = _volume()
    absent, present = (banked_image(volume, z, scan, training) for z in (0, 1))
    for draw in range(DRAWS):
        noise = banked_noise(volume, 0, scan, training, draw)
        for turned in (noise, np.ascontiguousarray(noise[::-1, ::-1])):
            stack = three(turned)
            yield Realisation(absent + stack, present + stack)


def _within(row: int, column: int) -> bool:
    x, y = (PIXEL_MM * (at - (SIZE - 1) / 2) for at in (column, row))
    return bool(np.hypot(x / (AXES_MM[0] - _MARGIN_MM), y / (AXES_MM[1] - _MARGIN_MM)) <= 1)


def _volume() -> Volume:
    """Two slices: the body without its rods, and with them. Its name changes with what is in it."""
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM
    body = np.hypot(axis[None] / AXES_MM[0], axis[:, None] / AXES_MM[1]) <= 1
    without = np.where(body, np.float32(TISSUE_HU), np.float32(-1000.0)).astype(np.float32)
    rods = np.zeros_like(without)
    for number, place in enumerate(places()):
        radius, contrast = rod(number)
        rods += np.float32(contrast) * disc(without.shape, place, radius)
    hu = np.stack([without, without + rods])
    content = hashlib.sha256(hu.tobytes()).hexdigest()[:8]
    return Volume(f"phantom-{content}", hu, (5.0, PIXEL_MM, PIXEL_MM), (0.0, 0.0, 0.0))


def _figures(bench: Bench, cases: list[Realisation], scan: Scan, training: Path) -> dict[str, Figures]:
    """By label of the variants, at one dose."""
    rods = banked_image(_volume(), 1, scan, training) - banked_image(_volume(), 0, scan, training)
    outputs = {"input": [(one.absent[1], one.present[1]) for one in cases]}
    for name, method in bench.methods().items():
        outputs[name] = list(bench.each(lambda one, method=method: _pair(method, one), cases))  # type: ignore[misc]
    found = {}
    for variant in bench.variants():
        share = np.float32(variant.strength)
        blends = [
            (before[0] + share * (after[0] - before[0]), before[1] + share * (after[1] - before[1]))
            for before, after in zip(outputs["input"], outputs[variant.method], strict=True)
        ]
        found[variant.label] = measured(blends, rods)
    return found


def _pair(method: Method, one: Realisation) -> tuple[Image, Image]:
    return method(one.absent), method(one.present)


def measured(pairs: list[tuple[Image, Image]], rods: Image) -> Figures:
    """Figures of images without and with rods, in the same noise; `rods` is how the scanner shows them without it."""
    at = places()
    textures = [noise_texture(absent, at) for absent, _ in pairs]
    change = np.mean([present - absent for absent, present in pairs], 0)
    kept, detected = [], []
    for kind, (radius, _) in enumerate(RODS):
        own = at[kind :: len(RODS)]
        inside = np.sum([disc(rods.shape, place, radius) for place in own], 0) > 0.5
        kept.append(float(change[inside].mean() / rods[inside].mean()))
        detected.append(detectability(_responses(pairs, own, channels(_REGION, _CHANNEL_WIDTH * radius)), 1).value)
    noise, frequency = np.mean(textures, 0)
    return Figures(float(noise), float(frequency), kept, detected)


def _responses(pairs: list[tuple[Image, Image]], own: list[tuple[int, int]], bank: Array) -> Responses:
    """Channel responses at the places of one kind of rod; a place is a case, its realisations belong together."""
    half = _REGION // 2
    regions = np.array(
        [
            [[image[r - half : r + half + 1, c - half : c + half + 1] for r, c in own] for image in pair]
            for pair in pairs
        ],
        np.float64,
    )
    absent, present = np.einsum("kij,npqij->pnqk", bank, regions).reshape(2, -1, CHANNELS)
    place = np.tile(np.arange(len(own)), len(pairs))
    return Responses(absent, present, place, place)
