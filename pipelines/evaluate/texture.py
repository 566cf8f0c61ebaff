"""Noise in flat soft tissue: how much, and of what grain."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
_PATCH = 16


def noise_texture(image: Image, places: list[tuple[int, int]]) -> tuple[float, float]:
    """Standard deviation in HU, and mean frequency in cycles/px of the radial noise power spectrum.

    Measured in 16 x 16 px about each place, less the patch's mean; the spectrum under a Hann window (compare ICRU
    Report 87). The same places of the reference say what grain radiologists are used to. Raises ValueError without
    places.
    """
    if not places:
        raise ValueError("no flat soft tissue to measure noise in")
    half = _PATCH // 2
    patches = np.stack([image[r - half : r + half, c - half : c + half] for r, c in places]).astype(np.float64)
    patches -= patches.mean((1, 2), keepdims=True)
    window = np.outer(np.hanning(_PATCH), np.hanning(_PATCH))
    power = (np.abs(np.fft.fft2(patches * window)) ** 2).mean(0)
    frequency = np.fft.fftfreq(_PATCH)
    radius = np.hypot(frequency[:, None], frequency[None])
    used = (radius > 0) & (radius <= 0.5)
    return float(patches.std()), float((radius * power)[used].sum() / power[used].sum())
