"""What a method makes of the slices, once, at full strength: every lower strength is a blend of that with its input.

The blend is linear, so images, noise and contrast kept follow for any strength without running the method again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .contrast import Kind, kept
from .heldout import Slice
from .methods import Method
from .texture import noise_texture

Image = NDArray[np.float32]
_HALVINGS = 24


@dataclass(frozen=True)
class Outputs:
    """One image for each slice at full strength; `shares` of contrast kept there, empty without flat tissue."""

    name: str
    slices: Sequence[Slice]
    images: list[Image]
    shares: list[dict[Kind, float]]

    def image(self, row: int, strength: float) -> Image:
        """The output for one slice at a strength, (H, W) HU."""
        centre = self.slices[row].noisy[1]
        blend: Image = centre + np.float32(strength) * (self.images[row] - centre)
        return blend

    def noise(self, strength: float) -> float:
        """Mean noise in flat tissue, HU."""
        flat = [(row, one.places) for row, one in enumerate(self.slices) if one.places]
        return float(np.mean([noise_texture(self.image(row, strength), places)[0] for row, places in flat]))

    def kept(self, kind: Kind, strength: float) -> float:
        """Mean share of contrast kept of a kind of disc."""
        return 1 - strength * (1 - float(np.mean([share[kind] for share in self.shares if share])))


def run(name: str, method: Method, slices: Sequence[Slice], threads: int) -> Outputs:
    """Run the method, at full strength, on every slice and on every slice with discs in it."""

    def one(each: Slice) -> tuple[Image, dict[Kind, float]]:
        return method(each.noisy), kept(method, each.noisy, each.places) if each.places else {}

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(one, slices))
    return Outputs(name, slices, [image for image, _ in results], [shares for _, shares in results])


def matched_strength(outputs: Outputs, noise: float) -> float | None:
    """The strength at which the outputs have this much noise in flat tissue (HU), by bisection.

    None where even full strength leaves more of it.
    """
    low, high = 0.0, 1.0
    if outputs.noise(high) > noise:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if outputs.noise(middle) > noise else (low, middle)
    return high
