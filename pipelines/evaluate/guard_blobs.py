"""How well a lesion that the network wipes out, or makes up, is noticed: the detection curve over contrast to noise.

Discs at flat places of soft tissue. "Removed": the disc is in the input, and the output is what the network makes of
the input without it. "Added": the disc is only in the output. A disc counts as noticed where the blob score within its
reach passes the limit that flags a series.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..ct_denoise import CTDenoise
from ..simulate.doses import noisy_stacks
from ..simulate.lesions import disc
from ..volume import load_volume
from .contrast import flat_places
from .guard_cases import IN_DOMAIN
from .heldout import HELDOUT

RADII = (2.0, 3.0, 4.0, 6.0)
CONTRASTS = (15.0, 30.0, 60.0, 90.0, 120.0)
EDGES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
"""Bounds of the bins of contrast to noise."""


@dataclass(frozen=True)
class Planted:
    """One disc: its radius in px, contrast in HU, contrast over the input's local noise, and whether it was noticed."""

    radius: float
    contrast: float
    cnr: float
    removed: bool
    noticed: bool


def planted(pipeline: CTDenoise, data: Path, slices: range) -> Iterator[Planted]:
    """Discs in slices of the held-out patient at all doses of the domain."""
    volume = load_volume(HELDOUT, data, with_labels=False)
    for z in slices:
        places = flat_places(volume.hu[z])
        for stack in noisy_stacks(volume, z, tuple(IN_DOMAIN.values())).values():
            yield from _in_slice(pipeline, stack, places)


@torch.inference_mode()
def _in_slice(pipeline: CTDenoise, stack: Tensor, places: list[tuple[int, int]]) -> Iterator[Planted]:
    from dicomnode.enhance.guards.residual_bound import local_sigma

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


def _noticed(source: Tensor, output: Tensor, places: list[tuple[int, int]], reach: int = 8) -> list[bool]:
    from dicomnode.enhance.guards import structure
    from dicomnode.enhance.guards.chain import apply_guards, guards_of
    from dicomnode.enhance.guards.residual_bound import local_sigma

    limits = CTDenoise.guards
    assert limits.blob_score is not None
    output, _ = apply_guards(guards_of(limits), source, output)
    score = structure.measure(source, output, local_sigma(source)[0], limits.body_above).score[0].abs()
    half = reach // 2
    windows = [score[r // 2 - half : r // 2 + half + 1, c // 2 - half : c // 2 + half + 1] for r, c in places]
    return [bool(window.max() > limits.blob_score[0]) for window in windows]


def curve(found: list[Planted], radius: float) -> list[tuple[str, int, float]]:
    """For each bin of contrast to noise: its name, how many discs, and the share that was noticed."""
    rows = []
    for low, high in pairwise(EDGES):
        inside = [one.noticed for one in found if one.radius == radius and low <= one.cnr < high]
        if inside:
            rows.append((f"{low:g} to {high:g}", len(inside), float(np.mean(inside))))
    return rows
