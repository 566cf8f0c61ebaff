"""The training cases, and a bank of noise for every slice of them, computed once and kept under `training/`.

A few noise images per slice are enough: training shifts them by some pixels, flips their sign and scales them between
neighbouring doses, each of which leaves their statistics true (variance goes as 1/I0 while electronic noise is small,
and changes slowly over a slice), so that no network sees the same noise twice.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data import DataError
from ..volume import Volume, load_volume
from .ct_dose import Dose, noise

BODIES = ("cxr", "lung1", "lung2")
HELDOUT = "lung2"
"""No shipped network is trained on this patient."""
VALIDATION_SLABS = {"cxr": range(56, 68), "lung1": range(20, 26), "lung2": range(28, 34)}
"""Slices of the training patients that no training step sees; everything that is chosen is chosen on them."""
LEVELS = (Dose(7.5e3), Dose(3e4), Dose(1.2e5), Dose(3e4, "soft"), Dose(1.2e5, "ramp"))
"""What the bank holds of each slice: the body kernel at three doses, and two other kernels."""
_THIN_MM = 2.5
_SEED = 20240601
_TISSUE_STEP = 4
_TISSUE_HU = -300


@dataclass(frozen=True)
class Case:
    """Consecutive slices of one training patient with their noise.

    hu       (Z, H, W) float32 targets
    noise    (Z, len(LEVELS), H, W) float16, HU; on a CPU it is read from the disk as needed
    centres  the slices that may be a target; their neighbours may serve as neighbours only
    tissue   (Z, H/4, W/4) on the host: where there is patient
    """

    name: str
    hu: Tensor
    noise: Tensor
    centres: tuple[int, ...]
    tissue: NDArray[np.bool_]
    tissue_step: int = _TISSUE_STEP

    def to(self, device: torch.device) -> "Case":
        """The case with its images in the memory of a device."""
        return replace(self, hu=self.hu.to(device), noise=self.noise.to(device))


def training_volumes(held_out: str = HELDOUT) -> tuple[str, ...]:
    """The bodies that a network may see which is to be tried on `held_out`. Raises DataError."""
    if held_out not in BODIES:
        raise DataError(f"{held_out} is none of the bodies {', '.join(BODIES)}")
    return tuple(name for name in BODIES if name != held_out)


TRAINING_VOLUMES = training_volumes()


def load_cases(
    data: Path, training: Path, report: Callable[[str], None] = print, held_out: str = HELDOUT
) -> list[Case]:
    """The training cases; noise that is not in the bank yet is computed (some minutes). Raises DataError."""
    cases = []
    for name in training_volumes(held_out):
        cases += cases_of(load_volume(name, data, with_labels=False), VALIDATION_SLABS[name], training, report)
    return cases


def cases_of(volume: Volume, slab: range, training: Path, report: Callable[[str], None] = print) -> list[Case]:
    """One patient as training cases: as scanned and, if the slices are thin, once more with pairs of them averaged.

    `slab` names slices that are kept for validation. Raises DataError if the stored noise belongs to another volume.
    """
    cases = [_case(volume.name, volume, slab, training, report)]
    if volume.spacing[0] <= _THIN_MM:
        thick, thick_slab = _thicker(volume, slab)
        cases.append(_case(f"{volume.name}-thick", thick, thick_slab, training, report))
    return cases


def case_of(name: str, hu: NDArray[np.float32], stored: NDArray[np.float16], centres: tuple[int, ...]) -> Case:
    """A case from arrays; see `Case`."""
    tissue = hu[:, ::_TISSUE_STEP, ::_TISSUE_STEP] > _TISSUE_HU
    return Case(name, torch.from_numpy(hu), torch.from_numpy(stored), centres, tissue)


def _thicker(volume: Volume, slab: range) -> tuple[Volume, range]:
    """Pairs of slices averaged: what the scanner would have made at twice the slice thickness, with less noise."""
    pairs = len(volume.hu) // 2
    hu = volume.hu[: 2 * pairs].reshape(pairs, 2, *volume.hu.shape[1:]).mean(1)
    spacing = (volume.spacing[0] * 2, *volume.spacing[1:])
    return Volume(volume.name, hu, spacing, volume.origin), range(slab.start // 2, -(-slab.stop // 2))


def _case(name: str, volume: Volume, slab: range, training: Path, report: Callable[[str], None]) -> Case:
    used = [z for z in range(len(volume.hu)) if z not in slab]
    centres = tuple(z for z in used if z - 1 not in slab and z + 1 not in slab)
    path = training / "ct-noise" / f"{name}-{_settings(volume, slab)}.npy"
    if not path.exists():
        report(f"noise bank: {name}, {len(used)} slices")
        _fill(path, name, volume, used)
    stored = np.load(path, mmap_mode="c")
    if stored.shape != (len(volume.hu), len(LEVELS), *volume.hu.shape[1:]):
        raise DataError(f"{path} does not fit its volume; delete it and train again.")
    return case_of(name, volume.hu, stored, centres)


def _settings(volume: Volume, slab: range) -> str:
    """A name for everything that shapes the noise, so that a stale bank is never read."""
    digest = hashlib.sha256(repr((LEVELS, slab, _SEED, volume.spacing)).encode())
    digest.update(np.ascontiguousarray(volume.hu).data)
    return digest.hexdigest()[:12]


def _fill(path: Path, name: str, volume: Volume, used: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    shape = (len(volume.hu), len(LEVELS), *volume.hu.shape[1:])
    bank = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
    for z in used:
        seed = int(np.random.default_rng([_SEED, *name.encode(), z]).integers(2**31))
        images = noise(torch.from_numpy(volume.hu[z]), volume.spacing[1], LEVELS, seed)
        bank[z] = images.numpy().clip(-3000, 3000).astype(np.float16)
    bank.flush()
    partial.rename(path)
