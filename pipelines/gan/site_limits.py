"""Guard limits for weights trained on a hospital's copies: what the guards measure on the copies, with a margin.

As `python -m pipelines.gan.calibrate` does with the open bodies, on the same doses.
"""

import hashlib
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch

from dicomnode.enhance.api import GuardLimits

from ..evaluate.methods import Network
from ..simulate.doses import noisy_stacks
from ..volume import Volume
from .calibrate import DOSES, limits_of, limits_text, measure

MOST_SLICES = 20


def write_limits(weights: Path, volumes: Sequence[Volume], path: Path) -> None:
    """Calibrate on slices spread over the training volumes; `path` gets the limits of the weights."""
    pipeline = Network(weights).pipeline
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, where a guard found nothing to measure in any slice
        limits = limits_of(measure(pipeline, _stacks(volumes)))
    limits = _known(limits, pipeline.guards)
    path.write_text(limits_text(limits, hashlib.sha256(weights.read_bytes()).hexdigest()), encoding="utf-8")


def _known(limits: GuardLimits, shipped: GuardLimits) -> GuardLimits:
    """Limits that could not be measured (no slice was flat enough) are those of the shipped weights."""
    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    unknown = {
        name: getattr(shipped, name)
        for name, value in values.items()
        if isinstance(value, tuple) and any(math.isnan(number) for number in value)
    }
    return replace(limits, **unknown)


def _stacks(volumes: Sequence[Volume]) -> Iterator[torch.Tensor]:
    """(1, 3, H, W) HU: slices as scanned and at each of the calibration's doses."""
    places = [(volume, z) for volume in volumes for z in range(1, len(volume.hu) - 1)]
    for row in np.linspace(0, len(places) - 1, min(MOST_SLICES, len(places))).round().astype(int):
        volume, z = places[row]
        yield torch.from_numpy(np.ascontiguousarray(volume.hu[z - 1 : z + 2]))[None]
        yield from noisy_stacks(volume, z, DOSES).values()
