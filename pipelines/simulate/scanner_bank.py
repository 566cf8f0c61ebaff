"""What the gecatsim scanner makes of slices of a volume: computed once (some 20 s each), kept under `training/`."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..volume import Volume
from .scanner import BONE_FROM_HU, CORTICAL_BONE_HU, Scan, image_and_noise, noise

Image = NDArray[np.float32]
_SEED = 7000
_MOVES = ((-1.0, (5, -3)), (1.0, (0, 0)), (-1.0, (-4, 6)))
"""Sign and shift of the noise in the slice below, in the slice itself and above: a few pixels and a sign leave its
statistics as they are and its values unrelated. Three scans for each slice would take three times as long."""


def scanned_stack(volume: Volume, z: int, scan: Scan, training: Path) -> Image:
    """(3, H, W) HU: slice `z`, not the first nor the last, between its neighbours, with the scanner's noise added.

    Raises DataError where gecatsim is needed and not there.
    """
    stack: Image = volume.hu[z - 1 : z + 2] + three(banked_noise(volume, z, scan, training))
    return stack


def three(noise_hu: Image) -> Image:
    """Noise for a slice and its neighbours out of that of the slice. (H, W) -> (3, H, W)."""
    return np.stack([np.float32(sign) * np.roll(noise_hu, shift, (0, 1)) for sign, shift in _MOVES])


def banked_noise(volume: Volume, z: int, scan: Scan, training: Path, draw: int = 0) -> Image:
    """(H, W) HU, from the bank or computed and put there; `draw` counts realisations. Raises DataError."""
    name = f"{volume.name}-{z}-{draw}" if draw else f"{volume.name}-{z}"
    return _banked(name, scan, training, lambda: noise(volume.hu[z], volume.spacing[1], scan, _SEED + z + 1000 * draw))


def banked_image(volume: Volume, z: int, scan: Scan, training: Path) -> Image:
    """(H, W) HU: the slice as the scanner shows it without noise, from the bank or computed. Raises DataError."""
    hu, pixel_mm = volume.hu[z], volume.spacing[1]
    return _banked(f"{volume.name}-{z}-image", scan, training, lambda: image_and_noise(hu, pixel_mm, scan, _SEED)[0])


def _banked(name: str, scan: Scan, training: Path, made: Callable[[], Image]) -> Image:
    path = training / f"ct-scanner-{_settings(scan)}" / f"{name}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial.npy")
        np.save(unfinished, made())
        unfinished.replace(path)
    stored: Image = np.load(path)
    return stored


def _settings(scan: Scan) -> str:
    """A name for everything that shapes the noise, so that a stale bank is never read."""
    return hashlib.sha256(repr((scan, BONE_FROM_HU, CORTICAL_BONE_HU, _SEED)).encode()).hexdigest()[:8]
