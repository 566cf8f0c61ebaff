"""The CT volumes of `data.py` as arrays, turned the way a radiologist reads an axial slice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import DataError, Item, sources, verify
from .inv3 import read_inv3

AIR_HU = -1000.0


@dataclass(frozen=True)
class Volume:
    """A CT volume in patient coordinates (LPS, mm), on DICOM's identity orientation (1,0,0 / 0,1,0).

    hu       (Z, H, W) float32; z runs to the head, rows from anterior to posterior, columns from right to left.
             Outside the reconstruction circle, where scanners write what they like, it is air (-1000).
    spacing  (z, y, x) in mm
    origin   (x, y, z) of the centre of voxel [0, 0, 0]: ImagePositionPatient of the first slice
    labels   (Z, H, W) integers, or None
    """

    name: str
    hu: NDArray[np.float32]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    labels: NDArray[np.integer[Any]] | None = None


def load_volume(name: str, directory: Path = Path("data"), with_labels: bool = True) -> Volume:
    """Read a volume of `data.toml`, after checking its files. Raises DataError where a file is missing or altered."""
    source = sources().get(name)
    if source is None:
        raise DataError(f"there is no volume {name!r}; data.toml knows {', '.join(sources())}.")
    image, spacing, origin = _read(source.image, source.set, directory)
    labels = _read(source.labels, source.set, directory)[0] if with_labels and source.labels else None
    hu = np.maximum(image, AIR_HU).astype(np.float32)
    return Volume(name, hu, spacing, origin, labels)


_Grid = tuple[NDArray[Any], tuple[float, float, float], tuple[float, float, float]]


def _read(item: Item, set_name: str, directory: Path) -> _Grid:
    if not verify(item, directory):
        raise DataError(f"{directory / item.file} is missing; run: python -m pipelines.data --only {set_name}")
    path = directory / item.file
    return {".nrrd": _read_nrrd, ".gz": _read_nifti, ".inv3": read_inv3}[path.suffix](path)


def _read_nrrd(path: Path) -> _Grid:
    import nrrd

    data, header = nrrd.read(str(path))
    directions = np.asarray(header["space directions"], dtype=float)
    if header["space"] != "left-posterior-superior":
        raise DataError(f"{path} is not in LPS coordinates but {header['space']}.")
    return _to_identity(data, directions, np.asarray(header["space origin"], dtype=float), path)


def _read_nifti(path: Path) -> _Grid:
    import nibabel

    image = nibabel.load(path)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    return _to_identity(np.asarray(image.dataobj), lps[:3, :3].T, lps[:3, 3], path)


def _to_identity(data: NDArray[Any], directions: NDArray[Any], origin: NDArray[Any], path: Path) -> _Grid:
    """(X, Y, Z) with one direction vector per row -> (Z, Y, X) with every axis running along +x, +y, +z."""
    spacing = np.diag(directions)
    if np.abs(directions - np.diag(spacing)).max() > 1e-4:
        raise DataError(f"{path} is tilted; only axis-aligned volumes are read.")
    origin = origin.copy()
    for axis in (row for row in range(3) if spacing[row] < 0):
        origin[axis] += spacing[axis] * (data.shape[axis] - 1)
        data = np.flip(data, axis)
    x, y, z = (float(value) for value in np.abs(spacing))
    first = (float(origin[0]), float(origin[1]), float(origin[2]))
    return np.ascontiguousarray(data.transpose(2, 1, 0)), (z, y, x), first
