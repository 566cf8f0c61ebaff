"""Guard limits for weights trained on a hospital's copies: what the guards measure on the copies, with a margin.

As `python -m pipelines.gan.calibrate` does with the open bodies, on the same doses.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..evaluate.methods import Network
from ..simulate.doses import noisy_stacks
from ..volume import Volume
from .calibrate import DOSES, Measured, limits_of, limits_text
from .calibrate import _measured as measured_by_guards

MOST_SLICES = 20


def write_limits(weights: Path, volumes: Sequence[Volume], path: Path) -> None:
    """Calibrate on slices spread over the training volumes; `path` gets the limits of the weights."""
    pipeline = Network(weights).pipeline
    found = [measured_by_guards(pipeline, stack) for stack in _stacks(volumes)]
    columns = [np.array(column) for column in zip(*(numbers for numbers, _ in found), strict=True)]
    sigma, frequency, change, blob, edge = columns
    features, shipped = np.stack([seen for _, seen in found]), pipeline.guards
    flat = not np.isnan(sigma).all()
    if not flat:
        sigma, frequency = np.zeros_like(sigma), np.zeros_like(frequency)
    limits = limits_of(Measured(sigma, frequency, change, blob, edge, features))
    if not flat:  # nowhere flat enough to measure noise in: the shipped limits of the input hold
        limits = replace(limits, noise_sigma=shipped.noise_sigma, noise_frequency=shipped.noise_frequency)
    path.write_text(limits_text(limits, hashlib.sha256(weights.read_bytes()).hexdigest()), encoding="utf-8")


def _stacks(volumes: Sequence[Volume]) -> Iterator[torch.Tensor]:
    """(1, 3, H, W) HU: slices as scanned and at each of the calibration's doses."""
    places = [(volume, z) for volume in volumes for z in range(1, len(volume.hu) - 1)]
    for row in np.linspace(0, len(places) - 1, min(MOST_SLICES, len(places))).round().astype(int):
        volume, z = places[row]
        yield torch.from_numpy(np.ascontiguousarray(volume.hu[z - 1 : z + 2]))[None]
        yield from noisy_stacks(volume, z, DOSES).values()
