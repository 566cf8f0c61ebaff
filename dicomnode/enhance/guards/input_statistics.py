"""Input statistics: noise, its grain and the share of body, held against what the model was calibrated on.

The noise is measured in the flattest tiles of the body, 32 x 32 px each, above 0.06 cycles per pixel: below lies what
is left of the organs. `sigma` is the median over the tiles of the standard deviation in that band, `frequency` that of
the mean frequency of the power spectrum (compare the noise power spectrum of ICRU Report 87; here without a trend
removed, since the lowest frequencies do not count), and `tail` that of the power at 0.3 to 0.4 cycles per pixel over
that at 0.15 to 0.25. Another dose moves sigma; a sharper kernel the frequency; a softer kernel the tail, which it cuts
off a hundredfold while the mean frequency, with anatomy in it, hardly moves.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards.judge import judge_band
from dicomnode.enhance.limits import Band

NOISE = "input noise"
GRAIN = "input grain"
KERNEL = "input kernel"
BODY = "body share"
TILE = 32
_CELL = 8
_MOST_TILES = 12
_FEWEST_TILES = 4
_LOWEST_FREQUENCY = 0.06
_MIDDLE, _TAIL = (0.15, 0.25), (0.3, 0.4)


@dataclass(frozen=True)
class Statistics:
    """Of each slice, (B,): sigma in physical units, frequency in cycles/px, tail (a ratio), share of body.

    The first three are NaN without flat body.
    """

    sigma: torch.Tensor
    frequency: torch.Tensor
    tail: torch.Tensor
    body_share: torch.Tensor


def measure(source: torch.Tensor, body_above: float | None) -> Statistics:
    """The statistics of (B, H, W) float32 in physical units; pixels beyond the last whole tile are left out."""
    batch, rows, columns = source.shape[0], source.shape[1] // TILE, source.shape[2] // TILE
    if rows == 0 or columns == 0:
        unknown = torch.full((batch,), math.nan, device=source.device)
        return Statistics(unknown, unknown, unknown, unknown)
    source = source[:, : rows * TILE, : columns * TILE]
    cells = functional.avg_pool2d(source[:, None], _CELL)[:, 0]
    body = cells > (-math.inf if body_above is None else body_above)
    chosen, enough = _flattest(cells, body)
    tiles = source.view(batch, rows, TILE, columns, TILE).transpose(2, 3).reshape(batch, rows * columns, TILE, TILE)
    patches = tiles[torch.arange(batch, device=source.device)[:, None], chosen]
    sigma, frequency, tail = (_median(torch.where(enough, found, math.nan)) for found in _spectrum(patches))
    return Statistics(sigma, frequency, tail, body.flatten(1).float().mean(1))


def _flattest(cells: torch.Tensor, body: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (B, N) of the flattest tiles that are body throughout, and which of these count."""
    per_tile = TILE // _CELL
    values = functional.unfold(cells[:, None], per_tile, stride=per_tile)
    inside = functional.unfold(body[:, None].float(), per_tile, stride=per_tile).amin(1) > 0
    unevenness = torch.where(inside, values.std(1), math.inf)
    found, chosen = unevenness.topk(min(_MOST_TILES, unevenness.shape[1]), dim=1, largest=False)
    usable = found.isfinite()
    return chosen, usable & (usable.sum(1, keepdim=True) >= _FEWEST_TILES)


def _spectrum(patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, N, 32, 32) -> standard deviation, mean frequency and tail of each patch, (B, N), in the band that counts."""
    frequency = torch.fft.fftfreq(TILE, device=patches.device)
    radius = torch.hypot(frequency[:, None], frequency[None])
    counted = ((radius >= _LOWEST_FREQUENCY) & (radius <= 0.5)).float()
    window = torch.hann_window(TILE, periodic=False, device=patches.device)
    window = window[:, None] * window[None]
    patches = patches - patches.mean((2, 3), keepdim=True)
    power = torch.fft.fft2(patches * window).abs().square() * counted
    total = power.sum((2, 3))
    sigma = (total / (TILE**2 * window.square().sum())).sqrt()
    tail, middle = (power[..., (radius >= low) & (radius < high)].mean(-1) for low, high in (_TAIL, _MIDDLE))
    return sigma, (power * radius).sum((2, 3)) / total, tail / middle


def _median(values: torch.Tensor) -> torch.Tensor:
    return values.nanmedian(dim=1).values


Guard = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]


def input_noise(measured: Callable[[torch.Tensor], Statistics], band: Band) -> Guard:
    """The guard that holds the input's noise, in physical units, against a band."""
    return _guard(
        lambda source: measured(source).sigma, lambda v: _judged(NOISE, v, band, "physical units", "the noise")
    )


def input_grain(measured: Callable[[torch.Tensor], Statistics], band: Band) -> Guard:
    """The guard that holds the mean frequency of the input's noise, in cycles per pixel, against a band."""
    return _guard(
        lambda source: measured(source).frequency,
        lambda v: _judged(GRAIN, v, band, "cycles/px", "the mean frequency of the noise"),
    )


def input_kernel(measured: Callable[[torch.Tensor], Statistics], band: Band) -> Guard:
    """The guard that holds the tail of the noise's spectrum against a band."""
    return _guard(
        lambda source: measured(source).tail,
        lambda v: _judged(KERNEL, v, band, "ratio", "the noise at fine detail over that at coarser"),
    )


def body_share(measured: Callable[[torch.Tensor], Statistics], band: Band) -> Guard:
    """The guard that holds the share of the image that is body against a band."""
    return _guard(
        lambda source: measured(source).body_share, lambda v: _judged(BODY, v, band, "share", "the body's share")
    )


def _judged(name: str, values: Sequence[float], band: Band, unit: str, what: str) -> list[GuardFigure]:
    return [judge_band(name, value, band, unit=unit, what=what) for value in values]


def _guard(
    measured: Callable[[torch.Tensor], torch.Tensor], judged: Callable[[Sequence[float]], list[GuardFigure]]
) -> Guard:
    """A guard of the input alone: the output passes through untouched."""

    def guard(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
        return output, judged(measured(source).tolist())

    return guard
