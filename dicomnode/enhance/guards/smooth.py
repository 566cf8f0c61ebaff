"""Gaussian low-pass with a boundary that keeps the mean: the filter both pixel guards are made of."""

import functools
import math

import torch
from torch.nn import functional

_REACH = 4.0
"""Kernel half-width in sigmas; what lies beyond is below 1e-4 of the whole."""

_BLOCK = 64


def low_pass(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian of `sigma` pixels over (B, H, W), the image continued by its mirror (edge pixels twice).

    A symmetric kernel and this boundary make a doubly stochastic matrix for each axis, so that the mean of the
    result is the mean of the image, and a constant stays what it is.
    """
    return _along_columns(_along_rows(image, sigma), sigma)


def _along_rows(image: torch.Tensor, sigma: float) -> torch.Tensor:
    matrix = _matrix(image.shape[-1], sigma, image.device)
    return torch.cat([image[..., near] @ matrix[near, own] for own, near in _bands(len(matrix), sigma)], -1)


def _along_columns(image: torch.Tensor, sigma: float) -> torch.Tensor:
    matrix = _matrix(image.shape[-2], sigma, image.device)
    return torch.cat([matrix[own, near] @ image[..., near, :] for own, near in _bands(len(matrix), sigma)], -2)


def _bands(size: int, sigma: float) -> list[tuple[slice, slice]]:
    """Blocks of the output, and what of the input each can see: the rest of the matrix is zero."""
    reach = math.ceil(_REACH * sigma)
    starts = range(0, size, _BLOCK)
    return [
        (slice(at, min(at + _BLOCK, size)), slice(max(at - reach, 0), min(at + _BLOCK + reach, size))) for at in starts
    ]


@functools.lru_cache(maxsize=16)
def _matrix(size: int, sigma: float, device: torch.device) -> torch.Tensor:
    """The filter of one axis as a symmetric matrix (size, size): one product beats a long convolution."""
    reach = math.ceil(_REACH * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    position = torch.arange(size)[:, None] + torch.arange(-reach, reach + 1)[None, :]
    mirrored = position % (2 * size)
    mirrored = torch.minimum(mirrored, 2 * size - 1 - mirrored)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, mirrored, kernel.expand(size, -1).contiguous())
    return matrix.to(device=device, dtype=torch.float32)


def mirror_pad(image: torch.Tensor, multiple: int) -> torch.Tensor:
    """Continue (B, H, W) below and to the right by its mirror until both sides are multiples of `multiple`."""
    for axis in (1, 2):
        missing = -image.shape[axis] % multiple
        while missing > 0:  # an image smaller than its padding is mirrored more than once
            part = min(missing, image.shape[axis])
            image = torch.cat([image, image.flip(axis).narrow(axis, 0, part)], dim=axis)
            missing -= part
    return image


def upsample(tiles: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bilinear (B, h, w) -> (B, height, width), tile centres kept in place."""
    return functional.interpolate(tiles[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0]
