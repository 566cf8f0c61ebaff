"""Noise of the gecatsim scanner for slices of a volume, computed once (some 20 s each) and kept under `training/`."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..volume import Volume
from .scanner import BONE_FROM_HU, CORTICAL_BONE_HU, Scan, noise

Image = NDArray[np.float32]
_SEED = 7000
_MOVES = ((-1.0, (5, -3)), (1.0, (0, 0)), (-1.0, (-4, 6)))
"""Sign and shift of the noise in the slice below, in the slice itself and above: a few pixels and a sign leave its
statistics as they are and its values unrelated. Three scans for each slice would take three times as long."""


def scanned_stack(volume: Volume, z: int, scan: Scan, training: Path) -> Image:
    """(3, H, W) HU: slice `z`, not the first nor the last, between its neighbours, with the scanner's noise added.

    Raises DataError where gecatsim is needed and not there.
    """
    added = banked_noise(volume, z, scan, training)
    stack = np.stack([sign * np.roll(added, shift, (0, 1)) for sign, shift in _MOVES])
    return (volume.hu[z - 1 : z + 2] + stack).astype(np.float32)


def banked_noise(volume: Volume, z: int, scan: Scan, training: Path) -> Image:
    """(H, W) HU, from the bank or computed and put there. Raises DataError without gecatsim."""
    path = training / f"ct-scanner-{_settings(scan)}" / f"{volume.name}-{z}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, noise(volume.hu[z], volume.spacing[1], scan, _SEED + z))
        partial.replace(path)
    stored: Image = np.load(path)
    return stored


def _settings(scan: Scan) -> str:
    """A name for everything that shapes the noise, so that a stale bank is never read."""
    return hashlib.sha256(repr((scan, BONE_FROM_HU, CORTICAL_BONE_HU, _SEED)).encode()).hexdigest()[:8]
