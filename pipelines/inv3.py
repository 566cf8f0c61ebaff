"""InVesalius projects: the CT volume in an .inv3 file."""

import plistlib
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .data import DataError

Grid = tuple[NDArray[np.int16], tuple[float, float, float], tuple[float, float, float]]


def read_inv3(path: Path) -> Grid:
    """Voxels (Z, H, W) in HU, turned as DICOM's identity orientation, spacing (z, y, x) in mm, and origin (0, 0, 0).

    A project is a tar.gz with a property list and the matrix as plain int16; it keeps no position, and its rows run
    from posterior to anterior. Raises DataError for anything else.
    """
    try:
        with tarfile.open(path) as project:
            members = {Path(member.name).name: member for member in project.getmembers() if member.isfile()}
            facts = plistlib.loads(_content(project, members["main.plist"]))
            matrix = facts["matrix"]
            voxels = np.frombuffer(_content(project, members[matrix["filename"]]), np.dtype(matrix["dtype"]))
        x, y, z = (float(value) for value in facts["spacing"])
        turned = np.ascontiguousarray(voxels.reshape(matrix["shape"])[:, ::-1])
    except (tarfile.TarError, plistlib.InvalidFileException, KeyError, ValueError) as error:
        raise DataError(f"{path} is not an InVesalius project that can be read ({error}).") from error
    return turned, (z, y, x), (0.0, 0.0, 0.0)


def _content(project: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = project.extractfile(member)
    return file.read() if file else b""
