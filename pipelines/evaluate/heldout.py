"""The slices that figures are reported on, and those that choices are made on: never the same patient."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..data import DataError
from ..simulate.bank import HELDOUT as HELDOUT
from ..simulate.bank import VALIDATION_SLABS, training_volumes
from ..simulate.ct_dose import QUARTER_DOSE_I0, Dose, noise
from ..volume import Volume, load_volume
from .contrast import flat_places
from .figures import Mask, body

Image = NDArray[np.float32]
HELDOUT_SLICES = range(2, 61, 4)
TUNING_SLICES = {"cxr": (58, 64), "lung1": (22,), "lung2": (30, 32)}
BODY_SLICES = {"cxr": range(4, 130, 9), "lung1": range(2, 46, 4), HELDOUT: HELDOUT_SLICES}
"""Where a body is judged by a network that saw nothing of it."""
TUNING_I0 = 3e4
"""The dose at which the training patients, who are slimmer, show the noise of the held-out one at a quarter dose (RMSE
of 30 HU in the body). At equal photons the classical filters would be tuned to too little noise: that would not be
fair."""
BODY_I0 = {"cxr": TUNING_I0, "lung1": TUNING_I0, HELDOUT: QUARTER_DOSE_I0}
"""The dose at which each body shows that noise."""
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
    return simulate(load_volume(HELDOUT, data, with_labels=False), HELDOUT_SLICES, QUARTER_DOSE_I0)


def tuning(data: Path, held_out: str = HELDOUT) -> list[Slice]:
    """Slices of the training patients that no training step saw. Raises DataError."""
    slices = []
    for name in training_volumes(held_out):
        chosen = TUNING_SLICES[name]
        if any(step not in VALIDATION_SLABS[name] for z in chosen for step in (z - 1, z, z + 1)):
            raise DataError(f"slices {chosen} of {name} reach out of its validation slab.")
        slices += simulate(load_volume(name, data, with_labels=False), chosen, BODY_I0[name])
    return slices


def simulate(volume: Volume, chosen: Iterable[int], i0: float) -> list[Slice]:
    """Slices of a volume at a low dose, each between its neighbours; not the first nor the last of the volume."""
    return [simulated(volume, z, Dose(i0)) for z in chosen]


def simulated(volume: Volume, z: int, dose: Dose) -> Slice:
    """One slice between its neighbours, with independent noise in each of the three."""
    clean = volume.hu[z - 1 : z + 2]
    added = [
        noise(torch.from_numpy(hu), volume.spacing[1], (dose,), _SEED + 3 * z + row)[0].numpy()
        for row, hu in enumerate(clean)
    ]
    return Slice(f"{volume.name} {z}", clean + np.stack(added), clean[1], body(clean[1]), flat_places(clean[1]))
