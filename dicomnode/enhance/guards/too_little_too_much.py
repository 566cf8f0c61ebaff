"""Too little, too much: how far the output moved away from the input, in units of the noise.

A denoiser that works takes away a known share of the noise. Far less, and it did not know what it saw; far more, and
it took something else with it.
"""

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards.judge import judge_band
from dicomnode.enhance.limits import Band

NAME = "change"
CELL = 8

Noise = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""`residual_bound.local_sigma`, or what remembers it."""


def too_little_too_much(
    noise: Noise, band: Band, body_above: float | None, strength: float
) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]:
    """The guard that holds RMS(change / local noise) in the body, divided by `strength`, against a band.

    (B, H, W) float32 in physical units; the output is not changed. A slice without body or noise is not judged.
    """

    def guard(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
        values = (change(source, output, noise(source)[0], body_above) / strength).tolist()
        figures = [judge_band(NAME, value, band, unit="sigmas", what="the change at full strength") for value in values]
        return output, figures

    return guard


def change(source: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, body_above: float | None) -> torch.Tensor:
    """RMS over the body of the change in units of the local noise, (B,); NaN without body or noise."""
    cells, noise = (functional.avg_pool2d(image[:, None], CELL, ceil_mode=True) for image in (source, sigma))
    energy = functional.avg_pool2d((output - source).square()[:, None], CELL, ceil_mode=True)
    counted = (cells > (-math.inf if body_above is None else body_above)) & (noise > 0)
    relative = torch.where(counted, energy / noise.square().clamp(min=1e-12), torch.nan)
    return relative.flatten(1).nanmean(1).sqrt()
