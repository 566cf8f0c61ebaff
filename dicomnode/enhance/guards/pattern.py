"""Pattern: a network that puts out a checkerboard, stripes or a grid leaves peaks in the spectrum of its change.

What a denoiser takes away is noise, and the spectrum of noise is smooth. So the power of the change in the body, at
every spatial frequency, is held against what is usual around it: the geometric mean over a sector of a ring, which one
peak hardly moves. Rings and sectors follow the scanner's kernel and the directions of the anatomy. The figure is the
highest excess in decibels; beside it stand amplitude, in physical units, and period of the largest wave in excess.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards.judge import judge

NAME = "pattern"
_CELL = 8
_RINGS, _SECTORS = 24, 8
_LOWEST_FREQUENCY = 0.012
"""Cycles per pixel; below lies what the low-frequency guard takes out."""
_FEWEST = 12
"""Frequencies in a sector, for its mean to mean anything."""
_DECIBELS = 10 / math.log(10)
_FLOOR = 1e-6
"""Of the mean power: beyond what the scanner resolves there is nothing but rounding, which is no pattern."""


@dataclass(frozen=True)
class Peak:
    """Of each slice, (B,): the highest excess in dB; amplitude in physical units and period in pixels of one wave."""

    excess: torch.Tensor
    amplitude: torch.Tensor
    period: torch.Tensor


def strongest(source: torch.Tensor, output: torch.Tensor, body_above: float | None, above: float = math.inf) -> Peak:
    """The peak of the change, (B, H, W) float32 in physical units; where nothing changed the excess is 0.

    The wave is the largest of those that exceed `above`, since an overtone of squares may stand out more than they do;
    that of the peak where none does. Its amplitude is that which it would have over the whole body.
    """
    body = _body(source, body_above)
    power = torch.fft.rfft2((output - source) * body).abs().square().flatten(1)
    waves = _waves(source.shape[-2], source.shape[-1], source.device)
    level = (power + _FLOOR * power.mean(1, keepdim=True)).clamp(min=torch.finfo(power.dtype).tiny).log()
    usual = torch.zeros(len(power), _RINGS * _SECTORS, device=power.device)
    usual.index_add_(1, waves.sector, level)
    usual /= waves.members
    excess = torch.where(waves.counted, (level - usual[:, waves.sector]) * _DECIBELS, -math.inf)
    highest = excess.amax(1)
    heard = excess >= highest.clamp(max=above)[:, None]
    largest, where = torch.where(heard, power.sqrt() * waves.share, -1.0).max(1)
    return Peak(highest.clamp(min=0), largest / body.flatten(1).sum(1).clamp(min=1), waves.period[where])


def _body(source: torch.Tensor, body_above: float | None) -> torch.Tensor:
    """1 in cells of 8 px whose mean is that of a body, else 0."""
    if body_above is None:
        return torch.ones_like(source)
    cells = functional.avg_pool2d(source[:, None], _CELL, ceil_mode=True) > body_above
    body = functional.interpolate(cells.float(), scale_factor=_CELL)[:, 0]
    return body[:, : source.shape[-2], : source.shape[-1]]


@dataclass(frozen=True)
class _Waves:
    """Of each frequency of `rfft2`: its sector, whether it counts, its period, and amplitude over magnitude.

    And of each sector how many members it has, at least 1.
    """

    sector: torch.Tensor
    members: torch.Tensor
    counted: torch.Tensor
    period: torch.Tensor
    share: torch.Tensor


@functools.lru_cache(maxsize=8)
def _waves(height: int, width: int, device: torch.device) -> _Waves:
    """Rings get wider with frequency: the continuum is steep where anatomy is, and there are few frequencies there."""
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    radius = torch.hypot(down, across)
    ring = ((radius * math.sqrt(2)).sqrt() * _RINGS).long().clamp(max=_RINGS - 1)
    angle = torch.atan2(down.expand_as(radius), across.expand_as(radius)) / math.pi + 0.5
    sector = (ring * _SECTORS + (angle * _SECTORS).long() % _SECTORS).flatten()
    members = torch.bincount(sector, minlength=_RINGS * _SECTORS).clamp(min=1)
    counted = (members[sector] >= _FEWEST) & (radius.flatten() >= _LOWEST_FREQUENCY)
    alone = ((2 * down) % 1 == 0) & ((2 * across) % 1 == 0)  # all others have a mirror with half of the wave
    share = torch.where(alone, 1.0, 2.0).flatten()
    period = 1 / radius.flatten().clamp(min=1e-9)
    return _Waves(*(each.to(device) for each in (sector, members, counted, period, share)))


def pattern(
    limits: tuple[float, float], body_above: float | None
) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]:
    """The guard that holds the excess against (flag above, withhold above), in dB. The output is not changed."""

    def guard(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
        peak = strongest(source, output, body_above, limits[0])
        rows = zip(peak.excess.tolist(), peak.amplitude.tolist(), peak.period.tolist(), strict=True)
        return output, [_figure(*row, limits) for row in rows]

    return guard


def _figure(excess: float, amplitude: float, period: float, limits: tuple[float, float]) -> GuardFigure:
    reason = f"the change has a regular pattern of amplitude {amplitude:.1f} that repeats every {period:.1f} px"
    return judge(NAME, excess, limits, unit="dB", reason=reason, amplitude=amplitude, period=period)
