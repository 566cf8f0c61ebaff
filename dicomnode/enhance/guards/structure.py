"""Structure in the residual: what a denoiser takes away should be noise, not anatomy, nor should it add any.

Three numbers. The blob scores: the change is averaged with a Gaussian of 1.5 px, for lesions of about 2 px radius, and
with one of 4 px, for those of 4 px and more, and divided by the local noise; noise averages out, a lesion that was
taken away or put in does not. Each scale has limits of its own: over 4 px a sixth of the noise is left that is left
over 1.5 px. Where the input has edges, a denoiser that moves none still leaves partial volumes behind, so the slope of
the smoothed input counts as noise there. The edge correlation: that of the change's local energy with the slope of the
input, over the body.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards.judge import judge
from dicomnode.enhance.guards.smooth import low_pass
from dicomnode.enhance.guards.too_little_too_much import Noise
from dicomnode.enhance.limits import GuardLimits

Guard = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]
Measured = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(source, output) -> a number for each slice, or for each of its places."""

BLOBS = "blobs"
WIDE_BLOBS = "wide blobs"
EDGES = "edges"
_HALF = 2
_BLOB_SIGMAS = (1.5, 4.0)
_SLOPE_SIGMA = 3.0
_EDGE_ALLOWANCE = 0.5
_APART = 9
_STEEP = 10.0
"""Slopes in sigmas per pixel beyond which an edge counts no more: bone would decide alone."""


@dataclass(frozen=True)
class Structure:
    """At half the resolution, (B, H/2, W/2): signed blob scores at both scales, and the correlation (B,)."""

    score: torch.Tensor
    wide_score: torch.Tensor
    correlation: torch.Tensor


def measure(source: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, body_above: float | None) -> Structure:
    """All numbers of (B, H, W) float32 in physical units; outside of the body the scores are 0."""
    residual, seen, noise = (_halved(image) for image in (output - source, source, sigma))
    smooth = low_pass(seen, _SLOPE_SIGMA / _HALF)
    slope = _slope(smooth) / _HALF
    counted = (smooth > (-math.inf if body_above is None else body_above)) & (noise > 0)
    floor = torch.hypot(noise, _EDGE_ALLOWANCE * slope).clamp(min=1e-6)
    fine, wide = (torch.where(counted, low_pass(residual, scale / _HALF) / floor, 0.0) for scale in _BLOB_SIGMAS)
    energy = _halved((output - source).abs()) / noise.clamp(min=1e-6)
    steepness = (slope / noise.clamp(min=1e-6)).clamp(max=_STEEP)
    return Structure(fine, wide, _correlation(energy, steepness, counted))


def _halved(image: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(image[:, None], _HALF, ceil_mode=True)[:, 0]


def _slope(smooth: torch.Tensor) -> torch.Tensor:
    """Absolute gradient per pixel of the halved grid, by central differences."""
    padded = functional.pad(smooth[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    return torch.hypot(down, across) / 2


def _correlation(left: torch.Tensor, right: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Pearson's, over what counts; 0 where there is nothing to correlate."""
    weight = counted.flatten(1).float()
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
    left, right = (image.flatten(1) - (image.flatten(1) * weight).sum(1, keepdim=True) for image in (left, right))
    both = (weight * left * right).sum(1)
    alone = (weight * left.square()).sum(1) * (weight * right.square()).sum(1)
    return torch.where(alone > 0, both / alone.clamp(min=1e-20).sqrt(), 0.0)


def structure(noise: Noise, limits: GuardLimits, strength: float) -> list[Guard]:
    """The guards of those numbers that have limits. The output is not changed.

    Both blob scores are divided by `strength`: what is taken away, noise or lesion, goes with it.
    """
    last: list[tuple[torch.Tensor, torch.Tensor, Structure]] = []

    def found(source: torch.Tensor, output: torch.Tensor) -> Structure:
        """Measured once for all guards, which leave the output as it is."""
        if not last or last[0][0] is not source or last[0][1] is not output:
            last[:] = [(source, output, measure(source, output, noise(source)[0], limits.body_above))]
        return last[0][2]

    guards: list[Guard] = []
    if limits.blob_score is not None:
        guards.append(_blobs(BLOBS, lambda *pair: found(*pair).score / strength, limits.blob_score))
    if limits.wide_blob_score is not None:
        guards.append(_blobs(WIDE_BLOBS, lambda *pair: found(*pair).wide_score / strength, limits.wide_blob_score))
    if limits.edge_correlation is not None:
        guards.append(_edges(lambda *pair: found(*pair).correlation, limits.edge_correlation))
    return guards


def _blobs(name: str, measured: Measured, limits: tuple[float, float]) -> Guard:
    def guard(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
        score = measured(source, output).abs()
        rows = zip(score.flatten(1).amax(1).tolist(), _peaks(score, limits[0]), strict=True)
        return output, [_blob_figure(name, value, count, limits) for value, count in rows]

    return guard


def _edges(measured: Measured, limits: tuple[float, float]) -> Guard:
    reason = "what was taken away follows the edges of the image"

    def guard(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
        values = measured(source, output).tolist()
        return output, [judge(EDGES, value, limits, unit="correlation", reason=reason) for value in values]

    return guard


def _peaks(score: torch.Tensor, limit: float) -> list[int]:
    """How many separate peaks of each slice are above the limit."""
    if not bool((score > limit).any()):
        return [0] * len(score)
    highest = functional.max_pool2d(score[:, None], _APART, stride=1, padding=_APART // 2)[:, 0]
    return [int(count) for count in ((score == highest) & (score > limit)).flatten(1).sum(1).tolist()]


def _blob_figure(name: str, value: float, count: int, limits: tuple[float, float]) -> GuardFigure:
    reason = f"{count} places changed by more than noise explains, the worst by {value:.2f} sigmas of the noise"
    return judge(name, value, limits, unit="sigmas", reason=reason, places=count)
