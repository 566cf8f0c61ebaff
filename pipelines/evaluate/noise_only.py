"""Pure noise in: does structure come out? A network that draws where there is nothing is caught here.

The output is held against images of the same size and spectrum with random phases, which have no structure at all.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from .bench import Bench
from .markdown import table

Image = NDArray[np.float32]
FIELDS = 6
SIZE = 256
SIGMA = 35.0
LEVEL_HU = 40.0
SURROGATES = 60
_SCALES = (1.5, 2.5, 4.0)
_BORDER = 16
_SEED = 52000


@dataclass(frozen=True)
class Structure:
    """Of a method's outputs.

    noise     standard deviation, HU
    kurtosis  excess; 0 for normal noise
    blob      the largest blob in any field, in SDs of the blob filter's response
    usual     what 95 of 100 structureless images of the same spectrum do not pass
    """

    noise: float
    kurtosis: float
    blob: float
    usual: float


@dataclass(frozen=True)
class NoiseOnly:
    """By label of the method."""

    title: ClassVar[str] = "Pure noise in"
    found: dict[str, Structure]

    def markdown(self) -> str:
        """How it was measured, and a row for each method."""
        rows = [
            [label, f"{one.noise:.1f}", f"{one.kurtosis:+.2f}", f"{one.blob:.2f}", f"{one.usual:.2f}"]
            for label, one in self.found.items()
        ]
        return (
            f"{FIELDS} fields of {SIZE} x {SIZE} px of {LEVEL_HU:g} HU with {SIGMA:g} HU of normal noise of the body "
            "kernel's spectrum. Largest blob: the strongest response of a Laplacian of Gaussians "
            f"({', '.join(f'{scale:g}' for scale in _SCALES)} px) in its own SDs; beside it what 95 of 100 images of "
            "the same spectrum with random phases stay below. Excess kurtosis is 0 for normal noise.\n\n"
            + table(["method", "noise HU", "excess kurtosis", "largest blob", "95 % of structureless"], rows)
        )


def measure_noise_only(bench: Bench) -> NoiseOnly:
    """The input, the best classical filter and both ends."""
    stacks = [
        np.stack([LEVEL_HU + kernel_noise(_SEED + 3 * field + row) for row in range(3)]) for field in range(FIELDS)
    ]
    stacks = [stack.astype(np.float32) for stack in stacks]
    full = {name: list(bench.each(method, stacks)) for name, method in bench.methods().items()}
    found = {}
    for variant in bench.variants():
        outputs = full[variant.method]
        blends = [s[1] + np.float32(variant.strength) * (o - s[1]) for s, o in zip(stacks, outputs, strict=True)]
        found[variant.label] = structure(blends)
    return NoiseOnly(found)


def kernel_noise(seed: int, size: int = SIZE, sigma: float = SIGMA) -> Image:
    """Normal noise with the power spectrum of filtered back-projection with the body kernel, `sigma` HU."""
    rng = np.random.default_rng(seed)
    axis = np.fft.fftfreq(size)
    frequency = np.hypot(axis[:, None], axis[None])
    amplitude = np.sqrt(frequency) * (0.5 + 0.5 * np.cos(np.pi * np.minimum(frequency / 0.5, 1)))
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) * amplitude).real
    noise: Image = (field * (sigma / field.std())).astype(np.float32)
    return noise


def structure(images: list[Image], surrogates: int = SURROGATES) -> Structure:
    """How far the images are from noise of their own spectrum."""
    inner = [image[_BORDER:-_BORDER, _BORDER:-_BORDER] for image in images]
    inner = [image - image.mean() for image in inner]
    rng = np.random.default_rng(_SEED)
    usual = [max(largest_blob(_without_phases(image, rng)) for image in inner) for _ in range(surrogates)]
    return Structure(
        noise=float(np.mean([image.std() for image in inner])),
        kurtosis=float(np.mean([stats.kurtosis(image, axis=None) for image in inner])),
        blob=max(largest_blob(image) for image in inner),
        usual=float(np.percentile(usual, 95)),
    )


def largest_blob(image: Image) -> float:
    """The strongest response of a Laplacian of Gaussians at any scale, in SDs of the response."""
    responses = (ndimage.gaussian_laplace(image, scale, mode="wrap") for scale in _SCALES)
    return max(float(np.abs(response).max() / response.std()) for response in responses)


def _without_phases(image: Image, rng: np.random.Generator) -> Image:
    """An image of the same power spectrum with random phases."""
    random = np.fft.fft2(rng.normal(size=image.shape))
    field: Image = np.fft.ifft2(np.abs(np.fft.fft2(image)) * random / np.abs(random)).real.astype(np.float32)
    return field
