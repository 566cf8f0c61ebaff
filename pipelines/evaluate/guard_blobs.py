"""How well a lesion that the network wipes out, or makes up, is noticed: the detection curve over contrast to noise.

Discs at flat places of soft tissue. "Removed": the disc is in the input, and the output is what the network makes of
the input without it. "Added": the disc is only in the output. A disc counts as noticed where one of the blob scores
within its reach passes the limit that flags a series.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..ct_denoise import CTDenoise
from ..simulate.lesions import disc

RADII = (2.0, 3.0, 4.0, 6.0, 8.0)
CONTRASTS = (8.0, 15.0, 30.0, 60.0, 90.0, 120.0)
EDGES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
"""Bounds of the bins of contrast to noise."""
STATED_HU = 60.0
STATED_CNR = {2.0: 3.0, 3.0: 1.5, 4.0: 1.0, 6.0: 0.75, 8.0: 0.75}
"""By radius: from this contrast over noise on, 95 of 100 discs are to be noticed. Set on the training patients."""
_PLACES = 6
"""Of one slice, so that discs stay apart and a slice weighs no more than another."""


@dataclass(frozen=True)
class Planted:
    """One disc: its radius in px, contrast in HU, contrast over the input's local noise, and whether it was noticed."""

    radius: float
    contrast: float
    cnr: float
    removed: bool
    noticed: bool


@torch.inference_mode()
def planted(pipeline: CTDenoise, stack: Tensor, places: Sequence[tuple[int, int]]) -> Iterator[Planted]:
    """Discs of every radius and contrast at flat places of one slice, (1, 3, H, W) HU."""
    from dicomnode.enhance.guards.residual_bound import local_sigma

    places = places[:_PLACES]
    if not places:
        return
    source = stack[:, 1].contiguous()
    output = pipeline.enhance(stack, CTDenoise.Params())
    noise = local_sigma(source)[0][0]
    for radius in RADII:
        discs = np.stack([disc((source.shape[1], source.shape[2]), place, radius) for place in places]).sum(0)
        for contrast in CONTRASTS:
            lesions = torch.from_numpy(contrast * discs)[None]
            for removed in (True, False):
                pair = (source + lesions, output) if removed else (source, output + lesions)
                noticed = _noticed(*pair, places)
                for place, seen in zip(places, noticed, strict=True):
                    yield Planted(radius, contrast, contrast / float(noise[place]), removed, seen)


def _noticed(source: Tensor, output: Tensor, places: Sequence[tuple[int, int]], reach: int = 8) -> list[bool]:
    from dicomnode.enhance.guards import structure
    from dicomnode.enhance.guards.chain import apply_guards, guards_of
    from dicomnode.enhance.guards.residual_bound import local_sigma
    from dicomnode.enhance.limits import GuardLimits

    limits, strength = CTDenoise.guards, CTDenoise.Params().strength
    assert limits.blob_score is not None
    assert limits.wide_blob_score is not None
    bounds = GuardLimits(residual_sigmas=limits.residual_sigmas, low_frequency_sigma=limits.low_frequency_sigma)
    output, _ = apply_guards(guards_of(bounds), source, output)
    found = structure.measure(source, output, local_sigma(source)[0], limits.body_above)
    fine, wide = found.score.abs() / limits.blob_score[0], found.wide_score.abs() / limits.wide_blob_score[0]
    score = torch.maximum(fine, wide)[0] / strength
    half = reach // 2
    windows = [score[r // 2 - half : r // 2 + half + 1, c // 2 - half : c // 2 + half + 1] for r, c in places]
    return [bool(window.max() > 1) for window in windows]


def curve(found: Sequence[Planted], radius: float) -> list[tuple[float, float, list[bool]]]:
    """For each bin of contrast to noise that has discs: its bounds, and whether each disc was noticed."""
    rows = []
    for low, high in pairwise(EDGES):
        inside = [one.noticed for one in found if one.radius == radius and low <= one.cnr < high]
        if inside:
            rows.append((low, high, inside))
    return rows


def stated(found: Sequence[Planted], radius: float) -> list[bool]:
    """Whether each disc of 60 HU at or above the contrast to noise that is stated for its radius was noticed."""
    return [
        one.noticed
        for one in found
        if (one.radius, one.contrast) == (radius, STATED_HU) and one.cnr >= STATED_CNR[radius]
    ]
