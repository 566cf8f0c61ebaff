"""Fidelity figures of one slice against its reference, HU."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
DATA_RANGE_HU = (-1000.0, 1000.0)
"""PSNR: both images are clipped to this, and its width is the peak."""
SOFT_TISSUE_HU = (-160.0, 240.0)
"""SSIM: the soft tissue window."""


def body(hu: Image) -> Mask:
    """The patient without table and surrounding air, lungs included. (H, W)."""
    tissue = ndimage.binary_opening(hu > -500, iterations=3)
    parts, count = ndimage.label(tissue)
    if count == 0:
        return np.zeros(hu.shape, dtype=np.bool_)
    sizes = np.bincount(parts.ravel())[1:]
    filled: Mask = ndimage.binary_fill_holes(parts == 1 + int(sizes.argmax()))
    return filled


def field_of_view(shape: tuple[int, int]) -> Mask:
    """The circle that a scanner reconstructs."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    radius = min(shape) / 2
    inside: Mask = (rows - (shape[0] - 1) / 2) ** 2 + (columns - (shape[1] - 1) / 2) ** 2 <= radius**2
    return inside


def psnr(image: Image, reference: Image) -> float:
    """dB inside the field of view, over the 2000 HU of `DATA_RANGE_HU`; infinite for equal images."""
    low, high = DATA_RANGE_HU
    error = (image.clip(low, high) - reference.clip(low, high))[field_of_view(reference.shape)]
    square = float(np.mean(error.astype(np.float64) ** 2))
    return 10 * math.log10((high - low) ** 2 / square) if square else math.inf


def ssim(image: Image, reference: Image, inside: Mask) -> float:
    """Mean structural similarity inside the mask in the soft tissue window (Wang et al., 2004; Gaussian, 1.5 px)."""
    low, high = SOFT_TISSUE_HU
    options = {"data_range": high - low, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, similar = structural_similarity(image.clip(low, high), reference.clip(low, high), full=True, **options)
    return float(similar[inside].mean())


def rmse(image: Image, reference: Image, inside: Mask) -> float:
    """Root mean square error inside the mask, HU."""
    return float(np.sqrt(np.mean((image - reference)[inside].astype(np.float64) ** 2)))
