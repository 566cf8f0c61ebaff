"""The same field of view on another grid: super-resolution in the plane."""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from dicomnode.derive.errors import CannotDerive

Vector = npt.NDArray[np.float64]
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def resampled(source: Dataset, rows: int, columns: int, *, in_patient: bool = True) -> dict[str, Any]:
    """Geometry of `source` on `rows` x `columns` pixels that cover the same rectangle (C.7.6.2.1.1, C.10.7.1.3).

    Spacings in mm, row spacing first, shrink as the pixels grow in number, and the first pixel's centre moves so that
    the outer corners stay. This is the grid of a resize with align_corners=False. Slice position and thickness stay.
    `in_patient` is false for classes that have no place for a position.
    """
    factors = np.array([rows / int(source.Rows), columns / int(source.Columns)])
    new: dict[str, Any] = {"Rows": rows, "Columns": columns}
    for keyword in SPACINGS if in_patient else SPACINGS[::2]:
        spacing = _numbers(source, keyword, 2)
        if spacing is not None:
            new[keyword] = _texts(spacing / factors)
    position = _numbers(source, "ImagePositionPatient", 3)
    orientation = _numbers(source, "ImageOrientationPatient", 6)
    spacing = _numbers(source, "PixelSpacing", 2)
    if in_patient and position is not None:
        if orientation is None or spacing is None:
            raise CannotDerive(
                "the source has a position but no orientation or pixel spacing: no new grid can be placed"
            )
        new["ImagePositionPatient"] = _texts(first_centre(position, orientation, spacing, factors))
    return new


def first_centre(position: Vector, orientation: Vector, spacing: Vector, factors: Vector) -> Vector:
    """Centre (mm) of the first pixel once rows and columns are multiplied by `factors`.

    `position` (3,) and `orientation` (6,) as ImagePositionPatient and ImageOrientationPatient, `spacing` (2,) between
    rows and between columns.
    """
    along_row, along_column = orientation[:3], orientation[3:]
    shift = (spacing / factors - spacing) / 2
    moved: Vector = position + along_row * shift[1] + along_column * shift[0]
    return moved


def _numbers(source: Dataset, keyword: str, count: int) -> Vector | None:
    value = source.get(keyword)
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != count:
        return None
    return np.array([float(one) for one in value])


def _texts(values: Vector) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]
