"""Training pairs: crops of the training cases with lesions put in, at a dose drawn at random.

Each batch is a function of its seed alone, so a training run that is stopped and resumed sees what it would have seen.
What is drawn is drawn on the host; the images are put together on the device that holds the cases.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from .bank import LEVELS, Case
from .lesions import random_lesions, render

DOSE_RANGE = (6e3, 3e5)
"""I0 of the body kernel, drawn evenly on a logarithmic scale: from a fiftieth of the full dose to the full dose."""
_NOISE_SHIFT = 6
_OTHER_KERNELS = 0.25


@dataclass(frozen=True)
class Batch:
    """noisy (B, 3, S, S) HU, clean (B, S, S) HU of the centre slice, lesions (B, S, S) presence 0..1."""

    noisy: Tensor
    clean: Tensor
    lesions: Tensor


def draw(cases: list[Case], seed: tuple[int, ...], count: int, size: int) -> Batch:
    """A batch of `count` crops of `size` px, drawn from the cases in proportion to their slices."""
    rng = np.random.default_rng(seed)
    shares = np.array([len(case.centres) for case in cases], float)
    chosen = [cases[rng.choice(len(cases), p=shares / shares.sum())] for _ in range(count)]
    added, presence = render(random_lesions(rng, count, size), count, size, cases[0].hu.device)
    rows = [_crop(case, rng, size, *lesions) for case, *lesions in zip(chosen, added, presence, strict=True)]
    noisy, clean, lesions = (torch.stack(column) for column in zip(*rows, strict=True))
    return Batch(noisy, clean, lesions)


def _crop(case: Case, rng: Generator, size: int, added: Tensor, presence: Tensor) -> tuple[Tensor, ...]:
    z = int(rng.choice(case.centres))
    around = [min(max(z + step, 0), len(case.hu) - 1) for step in (-1, 0, 1)]
    top, left = _place(case, z, rng, size)
    clean = torch.stack([case.hu[k, top : top + size, left : left + size] for k in around]) + added
    level, scale = _dose(rng)
    noise = torch.stack([_noise(case.noise[k, level], rng, top, left, size) for k in around])
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    return tuple(_turned(image, turns, mirror) for image in (clean + scale * noise, clean[1], presence))


def _place(case: Case, z: int, rng: Generator, size: int) -> tuple[int, int]:
    """A corner whose crop is mostly patient; air teaches nothing. A few crops of air are let through."""
    tissue, step = case.tissue[z], case.tissue_step
    for _ in range(20):
        top, left = (int(rng.integers(length - size + 1)) for length in case.hu.shape[1:])
        seen = tissue[top // step : (top + size) // step, left // step : (left + size) // step]
        if seen.mean() > 0.45 or rng.random() < 0.03:
            break
    return top, left


def _dose(rng: Generator) -> tuple[int, float]:
    """A level of the bank and the factor that takes its noise to the dose drawn."""
    if rng.random() < _OTHER_KERNELS:
        level = int(rng.choice([row for row, dose in enumerate(LEVELS) if dose.kernel != "hann"]))
        return level, float(2 ** rng.uniform(-1, 1))
    i0 = np.exp(rng.uniform(*np.log(DOSE_RANGE)))
    body = [row for row, dose in enumerate(LEVELS) if dose.kernel == "hann"]
    level = min(body, key=lambda row: abs(np.log(LEVELS[row].i0 / i0)))
    return level, float(np.sqrt(LEVELS[level].i0 / i0))


def _noise(image: Tensor, rng: Generator, top: int, left: int, size: int) -> Tensor:
    """The noise near the crop, shifted a little and perhaps turned in sign."""
    row, column = (
        int(np.clip(corner + rng.integers(-_NOISE_SHIFT, _NOISE_SHIFT + 1), 0, length - size))
        for corner, length in zip((top, left), image.shape, strict=True)
    )
    sign = float(rng.choice([-1.0, 1.0]))
    return image[row : row + size, column : column + size].float() * sign


def _turned(image: Tensor, turns: int, mirror: bool) -> Tensor:
    return torch.rot90(image.flip(-1) if mirror else image, turns, (-2, -1))
