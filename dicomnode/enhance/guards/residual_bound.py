"""Residual bound: no pixel moves by more than a few sigmas of the noise around it.

    y = x + clip(G(x) - x, -k sigma_local, +k sigma_local)

`sigma_local` is 1.4826 times the median absolute value of the high-pass x - lowpass(x) in tiles of 32 x 32 pixels,
drawn smooth between tile centres. The cut of 3 pixels lets CT noise through (its power peaks near 0.2 cycles per
pixel) and holds organs back; the median ignores edges as long as they cover less than half of a tile. Where
structure fills a tile (lung vessels, bone) the estimate rises: the bound is looser there, never tighter, and an
edge of the source is never cut, because only the change is clipped.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards.judge import judge
from dicomnode.enhance.guards.smooth import low_pass, mirror_pad, upsample

NAME = "residual bound"
TILE = 32
HIGH_PASS_SIGMA = 3.0
_MAD_TO_SIGMA = 1.4826
_FLOOR = 0.1
_ROUNDING = 1e-5
"""Of a slice's largest value: what float32 filters leave of a constant is no noise."""


def local_sigma(source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Local noise (B, H, W) and typical noise (B, 1, 1) of the source (B, H, W), in its units.

    The typical noise is the median over the tiles that have any. A tile that is mostly flat (air cut at -1024 HU)
    says nothing of the skin in its corner: below half of the typical it borrows from the tiles around it, up to the
    typical. A tenth of the typical is the least anywhere. A slice without any noise gets zero everywhere.
    """
    _, height, width = source.shape
    tiles = _tile_sigma(source)
    noisy = torch.where(tiles > 0, tiles, torch.nan).flatten(1)
    typical = noisy.nanmedian(dim=1).values.nan_to_num(0.0).view(-1, 1, 1)
    around = torch.minimum(functional.max_pool2d(tiles, 3, stride=1, padding=1), typical)
    tiles = torch.where(tiles < 0.5 * typical, torch.maximum(tiles, around), tiles)
    tiles = torch.maximum(tiles, _FLOOR * typical)
    return upsample(tiles, tiles.shape[1] * TILE, tiles.shape[2] * TILE)[:, :height, :width], typical


def _tile_sigma(source: torch.Tensor) -> torch.Tensor:
    noise = mirror_pad((source - low_pass(source, HIGH_PASS_SIGMA)).abs(), TILE)
    batch, height, width = noise.shape
    tiles = noise.view(batch, height // TILE, TILE, width // TILE, TILE).transpose(2, 3).flatten(3)
    sigma = _MAD_TO_SIGMA * _median(tiles)
    return torch.where(sigma > _rounding(source), sigma, 0.0)


def _median(tiles: torch.Tensor) -> torch.Tensor:
    """Over the last axis, the lower of two; NumPy's partition is several times as fast on a CPU, and as exact."""
    if tiles.device.type != "cpu":
        return tiles.median(dim=-1).values
    middle = (tiles.shape[-1] - 1) // 2
    return torch.from_numpy(np.partition(tiles.numpy(), middle, axis=-1)[..., middle])


def _rounding(source: torch.Tensor) -> torch.Tensor:
    return _ROUNDING * source.abs().amax(dim=(1, 2), keepdim=True)


def residual_bound(
    sigmas: float,
    limits: tuple[float, float],
    noise: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]] = local_sigma,
) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]:
    """The guard for a bound of `sigmas` and (flag above, withhold above) for the share of clipped pixels.

    The share is of the pixels in tiles that have noise (all pixels, if no tile has). `noise` is `local_sigma`, or what
    remembers it.
    """

    def guard(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
        sigma, typical = noise(source)
        bound = sigmas * sigma
        residual = output - source
        clipped = residual.abs() > bound + _rounding(source)
        share = _share(clipped, sigma > 2 * _FLOOR * typical).tolist()
        bounded = source + torch.clamp(residual, -bound, bound)
        rows = zip(share, typical.flatten().tolist(), strict=True)
        return bounded, [_figure(*row, sigmas, limits) for row in rows]

    return guard


def _share(clipped: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Share of clipped pixels among the counted ones; among all where none is counted."""
    counted = counted | ~counted.flatten(1).any(dim=1).view(-1, 1, 1)
    return (clipped & counted).flatten(1).sum(1) / counted.flatten(1).sum(1)


def _figure(share: float, noise: float, sigmas: float, limits: tuple[float, float]) -> GuardFigure:
    reason = f"{share:.1%} of the pixels wanted to move by more than {sigmas:g} sigmas of the local noise"
    return judge(NAME, share, limits, unit="share", reason=reason, typical_noise=noise)
