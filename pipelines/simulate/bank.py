"""The training cases, and a bank of noise for every slice of them, computed once and kept under `training/`.

A few noise images per slice are enough: training shifts them by some pixels, flips their sign and scales them between
neighbouring doses, each of which leaves their statistics true (variance goes as 1/I0 while electronic noise is small,
and changes slowly over a slice), so that no network sees the same noise twice.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..data import DataError
from ..volume import Volume, load_volume
from .ct_dose import Dose, noise

TRAINING_VOLUMES = ("cxr", "lung1")
VALIDATION_SLABS = {"cxr": range(56, 68), "lung1": range(20, 26)}
"""Slices of the training patients that no training step sees; everything that is chosen is chosen on them."""
LEVELS = (Dose(7.5e3), Dose(3e4), Dose(1.2e5), Dose(3e4, "soft"), Dose(1.2e5, "ramp"))
"""What the bank holds of each slice: the body kernel at three doses, and two other kernels."""
_SEED = 20240601


@dataclass(frozen=True)
class Case:
    """Consecutive slices of one training patient with their noise.

    hu       (Z, H, W) float32 targets
    noise    (Z, len(LEVELS), H, W) float16, HU, read from the disk as needed
    centres  the slices that may be a target; their neighbours may serve as neighbours only
    """

    name: str
    hu: NDArray[np.float32]
    noise: NDArray[np.float16]
    centres: tuple[int, ...]


def load_cases(data: Path, training: Path, report: Callable[[str], None] = print) -> list[Case]:
    """The training cases; noise that is not in the bank yet is computed (some minutes). Raises DataError."""
    cases = []
    for name in TRAINING_VOLUMES:
        volume = load_volume(name, data, with_labels=False)
        cases.append(_case(name, volume, VALIDATION_SLABS[name], training, report))
        if volume.spacing[0] <= 2.5:
            thick, slab = _thicker(volume, VALIDATION_SLABS[name])
            cases.append(_case(f"{name}-thick", thick, slab, training, report))
    return cases


def _thicker(volume: Volume, slab: range) -> tuple[Volume, range]:
    """Pairs of slices averaged: what the scanner would have made at twice the slice thickness, with less noise."""
    pairs = len(volume.hu) // 2
    hu = volume.hu[: 2 * pairs].reshape(pairs, 2, *volume.hu.shape[1:]).mean(1)
    spacing = (volume.spacing[0] * 2, *volume.spacing[1:])
    return Volume(volume.name, hu, spacing, volume.origin), range(slab.start // 2, -(-slab.stop // 2))


def _case(name: str, volume: Volume, slab: range, training: Path, report: Callable[[str], None]) -> Case:
    used = [z for z in range(len(volume.hu)) if z not in slab]
    centres = tuple(z for z in used if z - 1 not in slab and z + 1 not in slab)
    path = training / f"ct-noise-{_settings()}" / f"{name}.npy"
    if not path.exists():
        report(f"noise bank: {name}, {len(used)} slices")
        _fill(path, volume, used)
    stored = np.load(path, mmap_mode="r")
    if stored.shape != (len(volume.hu), len(LEVELS), *volume.hu.shape[1:]):
        raise DataError(f"{path} does not fit its volume; delete it and train again.")
    return Case(name, volume.hu, stored, centres)


def _settings() -> str:
    """A name for everything that shapes the noise, so that a stale bank is never read."""
    return hashlib.sha256(repr((LEVELS, VALIDATION_SLABS, _SEED)).encode()).hexdigest()[:8]


def _fill(path: Path, volume: Volume, used: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    shape = (len(volume.hu), len(LEVELS), *volume.hu.shape[1:])
    bank = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
    for z in used:
        seed = int(np.random.default_rng([_SEED, *path.stem.encode(), z]).integers(2**31))
        images = noise(torch.from_numpy(volume.hu[z]), volume.spacing[1], LEVELS, seed)
        bank[z] = images.numpy().clip(-3000, 3000).astype(np.float16)
    bank.flush()
    partial.rename(path)
