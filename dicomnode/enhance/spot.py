"""Where an image lies in its series, and which grid it has: what its place beside others follows from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom import Sequence as Items

_GRID = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PixelRepresentation")


@dataclass(frozen=True)
class Spot:
    """`grid`: size and orientation, equal for what may lie in one stack. `place`: millimetres along the normal;
    without geometry the Instance Number, which also keeps images apart. `number`: the Instance Number."""

    grid: tuple[str | float, ...]
    place: float
    number: float

    def to_json(self) -> list[Any]:
        return [list(self.grid), self.place, self.number]

    @classmethod
    def from_json(cls, document: Sequence[Any]) -> "Spot":
        grid, place, number = document
        return cls(tuple(grid), place, number)


def spot_of(header: Dataset) -> Spot:
    """The place is the projection of Image Position (Patient) on the normal of Image Orientation (Patient) (PS3.3
    C.7.6.2.1.1); an image without both has its Instance Number for it."""
    cosines, position = _floats(header, "ImageOrientationPatient", 6), _floats(header, "ImagePositionPatient", 3)
    number = (_floats(header, "InstanceNumber", 1) or (0.0,))[0]
    form = tuple(_text(header.get(name)) for name in _GRID)
    if cosines is None or position is None:
        return Spot(form, number, number)
    turned = tuple(float(cosine) for cosine in np.round(cosines, 3) + 0.0)  # -0.0 becomes 0.0
    return Spot((*form, *turned), float(np.dot(np.cross(cosines[:3], cosines[3:]), position)), number)


def _text(value: object) -> str:
    """Of a sequence none: it may take pydicom for ever."""
    return "" if isinstance(value, Items) else str(value)


def _floats(header: Dataset, keyword: str, count: int) -> Sequence[float] | None:
    """`count` finite numbers, or None: a broken value must not keep a series from being sorted."""
    try:
        value = header.get(keyword)
        numbers = [float(part) for part in (value if count > 1 else [value])]
    except Exception:  # an element with a broken value raises what its VR's reader raises
        return None
    return numbers if len(numbers) == count and all(math.isfinite(number) for number in numbers) else None
