"""How much of the contrast of small discs a method keeps.

Discs are put into flat soft tissue before the noise. A method is run on the slice with and without them, with the same
noise; what it keeps is the difference it lets through inside the discs, as a share of what was put in.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..simulate.lesions import disc

Image = NDArray[np.float32]
Kind = tuple[int, int]
DISCS: tuple[Kind, ...] = ((2, 20), (2, 60), (4, 20), (4, 60))
"""Radius in px and contrast in HU."""
_SPACING = 28
_FLAT_RADIUS = 9


def flat_places(hu: Image, most: int = 16) -> list[tuple[int, int]]:
    """Centres of the flattest soft tissue (0 to 120 HU), at least 28 px apart."""
    smooth = ndimage.gaussian_filter(hu, 1.5)
    size = 2 * _FLAT_RADIUS + 1
    mean = ndimage.uniform_filter(smooth, size)
    spread = ndimage.maximum_filter(smooth, size) - ndimage.minimum_filter(smooth, size)
    spread[(mean < 0) | (mean > 120)] = np.inf
    inner = np.zeros(hu.shape, dtype=np.bool_)
    inner[_FLAT_RADIUS:-_FLAT_RADIUS, _FLAT_RADIUS:-_FLAT_RADIUS] = True
    spread[~inner] = np.inf
    places: list[tuple[int, int]] = []
    for flat in np.argsort(spread, axis=None, kind="stable"):
        row, column = (int(value) for value in np.unravel_index(flat, hu.shape))
        if len(places) == most or spread[row, column] > 90:
            break
        if all(abs(row - r) >= _SPACING or abs(column - c) >= _SPACING for r, c in places):
            places.append((row, column))
    return places


def kept(method: Callable[[Image], Image], noisy: Image, places: list[tuple[int, int]]) -> dict[Kind, float]:
    """The share of contrast kept for each kind of disc, over all places. `noisy` is (3, H, W); methods see the stack.

    The discs are put into the centre slice alone, as a lesion thinner than a slice would be.
    """
    without = method(noisy)
    shares = {}
    for radius, contrast in DISCS:
        forms = [disc(without.shape, place, radius) for place in places]
        added: Image = np.float32(contrast) * np.stack(forms).sum(0)
        stack = noisy.copy()
        stack[1] += added
        inside = added > contrast / 2
        shares[radius, contrast] = float((method(stack) - without)[inside].mean() / added[inside].mean())
    return shares
