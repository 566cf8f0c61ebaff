"""What must stay: the position of the image, and what thresholds make of it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation

from .bench import Bench
from .figures import Mask
from .markdown import table

Image = NDArray[np.float32]
TISSUES = {"lung": (-950.0, -500.0), "soft tissue": (-160.0, 150.0), "bone": (200.0, 3000.0)}
"""HU, inside the body of the reference."""
_UPSAMPLED = 200
_FEWEST = 500
"""Pixels of a mask that is compared."""


@dataclass(frozen=True)
class Preserved:
    """By label: the largest shift against the input in px, and the mean Dice of each tissue with the reference's."""

    title: ClassVar[str] = "Position and segmentation"
    shift: dict[str, float]
    dice: dict[str, dict[str, float]]

    def markdown(self) -> str:
        """How it was measured, and a row for each method."""
        rows = [
            [label, f"{self.shift[label]:.3f}", *(f"{value:.3f}" for value in own.values())]
            for label, own in self.dice.items()
        ]
        ranges = ", ".join(f"{tissue} {low:g} to {high:g} HU" for tissue, (low, high) in TISSUES.items())
        return (
            f"Largest shift of the output against its input on any slice, by phase correlation in steps of "
            f"{1 / _UPSAMPLED:g} px, and the Dice overlap of plain threshold masks with those of the reference "
            f"({ranges}), mean over slices. The reference's own noise is in the masks too.\n\n"
            + table(["method", "shift px", *self.dice["input"]], rows)
        )


def measure_preserved(bench: Bench) -> Preserved:
    """From the outputs that are there already."""
    shifts, overlaps = {}, {}
    for variant in bench.variants():
        images = [bench.outputs[variant.method].image(row, variant.strength) for row in range(len(bench.slices))]
        shifts[variant.label] = max(
            bench.each(lambda pair: shift(*pair), [(s.noisy[1], i) for s, i in zip(bench.slices, images, strict=True)])
        )
        scores = [overlap(image, one.clean, one.inside) for one, image in zip(bench.slices, images, strict=True)]
        present = {tissue: [score[tissue] for score in scores if tissue in score] for tissue in TISSUES}
        overlaps[variant.label] = {tissue: float(np.mean(own)) for tissue, own in present.items() if own}
    return Preserved(shifts, overlaps)


def shift(before: Image, after: Image) -> float:
    """How far an image lies from another, px."""
    moved, _, _ = phase_cross_correlation(before, after, upsample_factor=_UPSAMPLED, normalization=None)
    return float(np.hypot(*moved))


def overlap(image: Image, reference: Image, inside: Mask) -> dict[str, float]:
    """Dice of the masks of each tissue that the reference has enough of."""
    scores = {}
    for tissue, (low, high) in TISSUES.items():
        one, two = (inside & (each >= low) & (each < high) for each in (image, reference))
        if two.sum() >= _FEWEST:
            scores[tissue] = float(2 * (one & two).sum() / (one.sum() + two.sum()))
    return scores
