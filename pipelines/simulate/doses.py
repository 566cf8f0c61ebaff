"""One slice with its neighbours at several doses: what a network is shown when doses are compared."""

import numpy as np
import torch
from torch import Tensor

from ..volume import Volume
from .ct_dose import Dose, noise

_SEED = 9000
_MOVES = ((-1.0, (5, -3)), (1.0, (0, 0)), (-1.0, (-4, 6)))
"""Sign and shift of the noise in the slice below, in the slice itself and above: a few pixels and a sign leave its
statistics as they are and its values unrelated, as in the training's bank of noise."""


def noisy_stacks(volume: Volume, z: int, doses: tuple[Dose, ...]) -> dict[Dose, Tensor]:
    """(1, 3, H, W) HU for each dose: slice `z`, not the first nor the last, between its neighbours."""
    added = noise(torch.from_numpy(volume.hu[z]), volume.spacing[1], doses, _SEED + z)
    clean = torch.from_numpy(np.ascontiguousarray(volume.hu[z - 1 : z + 2]))
    return {dose: (clean + _three(image))[None] for dose, image in zip(doses, added, strict=True)}


def _three(image: Tensor) -> Tensor:
    return torch.stack([sign * image.roll(shift, (0, 1)) for sign, shift in _MOVES])
