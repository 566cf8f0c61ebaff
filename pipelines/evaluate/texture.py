"""Noise in flat soft tissue: how much, and of what grain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Array = NDArray[np.float64]
Places = list[tuple[int, int]]
_PATCH = 16


def noise_texture(image: Image, places: Places) -> tuple[float, float]:
    """Standard deviation in HU, and mean frequency in cycles/px of the radial noise power spectrum.

    Measured in 16 x 16 px about each place, less the patch's mean; the spectrum under a Hann window (compare ICRU
    Report 87). The same places of the reference say what grain radiologists are used to. Raises ValueError without
    places.
    """
    patches = _patches(image, places)
    power, radius = _power(patches)
    used = (radius > 0) & (radius <= 0.5)
    return float(patches.std()), float((radius * power)[used].sum() / power[used].sum())


@dataclass(frozen=True)
class Spectrum:
    """A radial noise power spectrum: power in HU^2 px^2 at frequencies in cycles/px, rings of one sample."""

    frequency: list[float]
    power: list[float]

    def distance(self, other: "Spectrum") -> float:
        """Of the forms alone, 0 to 1: half the difference of the two curves, each as shares of all its rings."""
        one, two = (np.array(each.power) * np.array(each.frequency) for each in (self, other))
        return float(np.abs(one / one.sum() - two / two.sum()).sum() / 2)


def spectrum(images: list[Image], places: list[Places]) -> Spectrum:
    """The radial spectrum over the places of several images. Raises ValueError without any place."""
    patches = np.concatenate([_patches(image, own) for image, own in zip(images, places, strict=True) if own])
    power, radius = _power(patches)
    rings = np.arange(1, _PATCH // 2 + 1)
    ring = np.rint(radius * _PATCH).astype(int)
    return Spectrum((rings / _PATCH).tolist(), [float(power[ring == number].mean()) for number in rings])


def _patches(image: Image, places: Places) -> Array:
    if not places:
        raise ValueError("no flat soft tissue to measure noise in")
    half = _PATCH // 2
    patches = np.stack([image[r - half : r + half, c - half : c + half] for r, c in places]).astype(np.float64)
    less: Array = patches - patches.mean((1, 2), keepdims=True)
    return less


def _power(patches: Array) -> tuple[Array, Array]:
    """Mean power spectrum in HU^2 px^2 and the frequency of each sample."""
    window = np.outer(np.hanning(_PATCH), np.hanning(_PATCH))
    power: Array = (np.abs(np.fft.fft2(patches * window)) ** 2).mean(0) / (window**2).sum()
    frequency = np.fft.fftfreq(_PATCH)
    radius: Array = np.hypot(frequency[:, None], frequency[None])
    return power, radius
