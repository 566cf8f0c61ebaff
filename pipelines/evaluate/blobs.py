"""Blobs that are drawn or wiped out: faint spots in the output that the reference has not, and the reverse.

A spot is what a small disc has more than the ring around it. A false one differs from the reference's by as much as a
lesion of the stated contrast to noise would.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve

from ..simulate.bank import HELDOUT
from ..volume import load_volume
from .bench import Bench
from .figures import Mask
from .heldout import Slice
from .markdown import table
from .texture import noise_texture

Image = NDArray[np.float32]
RADIUS = 3.0
"""Of the spot, px."""
CNR = 0.5
"""Contrast of a false spot over the input's noise in flat tissue."""
_RING = (4.0, 7.0)
_APART = 9
_SOFT_HU = (-50.0, 150.0)
_FLAT_HU = 120.0


@dataclass(frozen=True)
class Counts:
    """False spots per square centimetre of soft tissue."""

    drawn: float
    wiped: float


@dataclass(frozen=True)
class Blobs:
    """By label of the method; `contrast` in HU that counts, mean over slices; `area` searched, cm^2."""

    title: ClassVar[str] = "Spots drawn and wiped out"
    found: dict[str, Counts]
    contrast: float
    area: float

    def markdown(self) -> str:
        """How it was measured, and a row for each method."""
        rows = [[label, f"{one.drawn:.4f}", f"{one.wiped:.4f}"] for label, one in self.found.items()]
        return (
            f"Spots of {RADIUS:g} px radius whose contrast differs from the reference's by {CNR:g} times the input's "
            f"noise in flat tissue ({self.contrast:.0f} HU on average) or more, in {self.area:.0f} cm² of soft tissue "
            "away from edges: drawn where the output has more contrast than the reference, wiped out where it has "
            "less.\n\n" + table(["method", "drawn per cm²", "wiped out per cm²"], rows)
        )


def measure_blobs(bench: Bench) -> Blobs:
    """From the outputs that are there already. Raises DataError."""
    pixel = load_volume(HELDOUT, bench.data, with_labels=False).spacing[1] / 10
    flat = [(row, one) for row, one in enumerate(bench.slices) if one.places]
    masks = [searched(one) for _, one in flat]
    limits = [CNR * noise_texture(one.noisy[1], one.places)[0] for _, one in flat]
    area = float(sum(mask.sum() for mask in masks)) * pixel**2
    found = {}
    for variant in bench.variants():
        counts = np.sum(
            [
                count(bench.outputs[variant.method].image(row, variant.strength), one.clean, mask, limit)
                for (row, one), mask, limit in zip(flat, masks, limits, strict=True)
            ],
            0,
        )
        found[variant.label] = Counts(float(counts[0] / area), float(counts[1] / area))
    return Blobs(found, float(np.mean(limits)), area)


def contrast(image: Image) -> Image:
    """At every pixel the mean of the disc about it less that of the ring around, HU."""
    reach = int(_RING[1])
    axis = np.arange(-reach, reach + 1)
    distance = np.hypot(axis[:, None], axis[None])
    disc, ring = distance <= RADIUS, (distance >= _RING[0]) & (distance <= _RING[1])
    kernel = disc / disc.sum() - ring / ring.sum()
    found: Image = fftconvolve(np.pad(image, reach, mode="edge"), kernel, mode="valid").astype(np.float32)
    return found


def count(image: Image, reference: Image, mask: Mask, limit: float) -> tuple[int, int]:
    """Spots drawn and spots wiped out: peaks of the difference in contrast of at least `limit` HU."""
    own, wanted = contrast(image), contrast(reference)
    size = np.abs(own - wanted)
    peaks = mask & (size >= limit) & (size == ndimage.maximum_filter(size, _APART))
    more = np.abs(own) > np.abs(wanted)
    return int((peaks & more).sum()), int((peaks & ~more).sum())


def searched(one: Slice) -> Mask:
    """Soft tissue without edges near it."""
    smooth = ndimage.gaussian_filter(one.clean, 2.0)
    size = 2 * int(_RING[1]) + 1
    spread = ndimage.maximum_filter(smooth, size) - ndimage.minimum_filter(smooth, size)
    low, high = _SOFT_HU
    mask: Mask = one.inside & (smooth > low) & (smooth < high) & (spread < _FLAT_HU)
    return mask
