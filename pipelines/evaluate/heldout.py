"""The slices that figures are reported on, and those that choices are made on: never the same patient."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..data import DataError
from ..simulate.bank import TRAINING_VOLUMES, VALIDATION_SLABS
from ..simulate.ct_dose import QUARTER_DOSE_I0, Dose, noise
from ..volume import load_volume
from .contrast import flat_places
from .figures import Mask, body

Image = NDArray[np.float32]
HELDOUT = "lung2"
HELDOUT_SLICES = range(2, 61, 4)
TUNING_SLICES = {"cxr": (58, 64), "lung1": (22,)}
TUNING_I0 = 3e4
"""The dose at which the training patients, who are slimmer, show the noise of the held-out one at a quarter dose (RMSE
of 30 HU in the body). At equal photons the classical filters would be tuned to too little noise: that would not be
fair."""
_SEED = 5000


@dataclass(frozen=True)
class Slice:
    """One slice at a low dose with both neighbours, and what it was before.

    noisy (3, H, W), clean (H, W), inside: the patient, places: flat soft tissue.
    """

    name: str
    noisy: Image
    clean: Image
    inside: Mask
    places: list[tuple[int, int]]


def heldout(data: Path) -> list[Slice]:
    """Every fourth slice of the held-out patient. Raises DataError."""
    if HELDOUT in TRAINING_VOLUMES:
        raise DataError(f"{HELDOUT} is among the training volumes; it cannot be held out.")
    return _simulate(HELDOUT, tuple(HELDOUT_SLICES), QUARTER_DOSE_I0, data)


def tuning(data: Path) -> list[Slice]:
    """Slices of the training patients that no training step saw. Raises DataError."""
    slices = []
    for name, chosen in TUNING_SLICES.items():
        if any(step not in VALIDATION_SLABS[name] for z in chosen for step in (z - 1, z, z + 1)):
            raise DataError(f"slices {chosen} of {name} reach out of its validation slab.")
        slices += _simulate(name, chosen, TUNING_I0, data)
    return slices


def _simulate(name: str, chosen: tuple[int, ...], i0: float, data: Path) -> list[Slice]:
    volume = load_volume(name, data, with_labels=False)
    slices = []
    for z in chosen:
        clean = volume.hu[z - 1 : z + 2]
        added = [
            noise(torch.from_numpy(hu), volume.spacing[1], (Dose(i0),), _SEED + 3 * z + row)[0].numpy()
            for row, hu in enumerate(clean)
        ]
        centre = clean[1]
        slices.append(Slice(f"{name} {z}", clean + np.stack(added), centre, body(centre), flat_places(centre)))
    return slices
