"""The classical filters that the network is held against, each tuned with the same budget of twelve settings."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from .figures import psnr

Image = NDArray[np.float32]
Filter = Callable[..., Image]
Settings = Mapping[str, float]
_HU = (-1024.0, 1500.0)


@dataclass(frozen=True)
class Tuned:
    """A filter with the settings that did best on the tuning slices; `psnr` is their mean there, dB."""

    name: str
    settings: Settings
    psnr: float

    def __call__(self, image: Image) -> Image:
        """(H, W) HU -> (H, W) HU."""
        return FILTERS[self.name][0](image, **self.settings)


def gaussian(image: Image, sigma: float) -> Image:
    """Gaussian of `sigma` px."""
    smooth: Image = ndimage.gaussian_filter(image, sigma)
    return smooth


def bilateral(image: Image, sigma: float, contrast: float) -> Image:
    """Bilateral filter: Gaussian in space (`sigma` px, cut at 2 sigma) and in HU (`contrast`)."""
    reach = int(np.ceil(2 * sigma))
    padded = np.pad(image, reach, mode="reflect")
    total, weights = np.zeros_like(image), np.zeros_like(image)
    rows, columns = image.shape
    for row, column in itertools.product(range(-reach, reach + 1), repeat=2):
        moved = padded[reach + row : reach + row + rows, reach + column : reach + column + columns]
        near = np.float32(np.exp(-(row**2 + column**2) / (2 * sigma**2)))
        weight = near * np.exp((moved - image) ** 2 * np.float32(-0.5 / contrast**2))
        total += weight * moved
        weights += weight
    return total / weights


def total_variation(image: Image, weight: float, precision: float) -> Image:
    """Chambolle's total variation denoising; `weight` HU, iterated to a relative change of `precision`."""
    smooth: Image = denoise_tv_chambolle(image.clip(*_HU), weight=weight, eps=precision)
    return smooth.astype(np.float32)


def non_local_means(image: Image, strength: float, patch: float) -> Image:
    """Non-local means over 13 x 13 px; `strength` HU (the cut-off h), `patch` px."""
    smooth: Image = denoise_nl_means(
        image.clip(*_HU), patch_size=int(patch), patch_distance=6, h=strength, fast_mode=True
    )
    return smooth.astype(np.float32)


def non_local_means_by_noise(image: Image, sigmas: float, patch: float) -> Image:
    """Non-local means whose cut-off is a multiple of the slice's own noise: it adapts to it as a network does."""
    return non_local_means(image, sigmas * noise_of(image), patch)


def noise_of(image: Image) -> float:
    """Noise of a slice in HU: 1.4826 times the median absolute high-pass (Gaussian, 1.5 px) in soft tissue."""
    high = image - ndimage.gaussian_filter(image, 1.5)
    tissue = ndimage.gaussian_filter(image, 4.0) > -200
    return float(1.4826 * np.median(np.abs(high[tissue]))) if tissue.any() else 0.0


FILTERS: Mapping[str, tuple[Filter, tuple[Settings, ...]]] = {
    "Gaussian": (gaussian, tuple({"sigma": s} for s in np.linspace(0.3, 1.4, 12).round(2).tolist())),
    "bilateral": (
        bilateral,
        tuple({"sigma": s, "contrast": c} for s, c in itertools.product((0.8, 1.2, 1.8), (40.0, 60.0, 90.0, 130.0))),
    ),
    "TV": (
        total_variation,
        tuple(
            {"weight": w, "precision": e}
            for w, e in itertools.product((8.0, 11.0, 14.0, 17.0, 21.0, 26.0), (2e-4, 1e-5))
        ),
    ),
    "NLM": (
        non_local_means,
        tuple({"strength": h, "patch": p} for h, p in itertools.product((14.0, 19.0, 24.0, 30.0, 38.0, 48.0), (3, 5))),
    ),
    "NLM by noise": (
        non_local_means_by_noise,
        tuple({"sigmas": k, "patch": p} for k, p in itertools.product((0.6, 0.7, 0.8, 0.95, 1.1, 1.3), (3, 5))),
    ),
}


def tune(pairs: Sequence[tuple[Image, Image]], threads: int, names: Sequence[str] = tuple(FILTERS)) -> list[Tuned]:
    """Each filter at the setting with the best mean PSNR over (noisy, clean) slices of training patients."""

    def tried(candidate: tuple[str, Settings]) -> Tuned:
        name, row = candidate
        return Tuned(name, row, float(np.mean([psnr(FILTERS[name][0](noisy, **row), clean) for noisy, clean in pairs])))

    candidates = [(name, row) for name in names for row in FILTERS[name][1]]
    with ThreadPoolExecutor(threads) as pool:
        all_tried = list(pool.map(tried, candidates))
    return [max((one for one in all_tried if one.name == name), key=lambda one: one.psnr) for name in names]
