"""Which slices lie beside which: neighbours come from one stack of one grid, in the order of space."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pydicom import Dataset

from dicomnode.enhance.images import SourceImage

Stack = list[SourceImage]

_GRID = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PixelRepresentation")
_SAME_PLACE_MM = 0.01


def stacks(sources: Iterable[SourceImage]) -> list[Stack]:
    """Sort a series into stacks: same size, same orientation, each place once, ordered along the normal.

    The place is the projection of Image Position (Patient) on the normal of Image Orientation (Patient) (PS3.3
    C.7.6.2.1.1); images without both are ordered by Instance Number. Several images at one place (phases, echoes)
    go to different stacks in the order of Instance Number, so that no phase is another's neighbour.
    """
    grids: dict[tuple[Any, ...], Stack] = defaultdict(list)
    for source in sources:
        grids[_grid(source.header)].append(source)
    return [stack for grid in grids.values() for stack in _one_per_place(grid)]


def _one_per_place(grid: Stack) -> list[Stack]:
    placed = sorted((_place(source.header), _number(source.header), source.sop_uid, source) for source in grid)
    found: list[Stack] = []
    at_place, last = 0, -math.inf
    for place, _, _, source in placed:
        at_place = at_place + 1 if place - last < _SAME_PLACE_MM else 0
        last = place if at_place == 0 else last
        if at_place == len(found):
            found.append([])
        found[at_place].append(source)
    return found


def _grid(header: Dataset) -> tuple[Any, ...]:
    normal = _normal(header)
    has_place = normal is not None and _floats(header, "ImagePositionPatient", 3) is not None
    turned = tuple(np.round(_floats(header, "ImageOrientationPatient", 6) or (), 3)) if has_place else ()
    return (*(str(header.get(name)) for name in _GRID), *turned)


def _place(header: Dataset) -> float:
    """Millimetres along the normal; without geometry the Instance Number, which also keeps images apart."""
    normal, position = _normal(header), _floats(header, "ImagePositionPatient", 3)
    if normal is None or position is None:
        return _number(header)
    return float(np.dot(normal, position))


def _normal(header: Dataset) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    cosines = _floats(header, "ImageOrientationPatient", 6)
    return None if cosines is None else np.cross(cosines[:3], cosines[3:])


def _number(header: Dataset) -> float:
    values = _floats(header, "InstanceNumber", 1)
    return values[0] if values else 0.0


def _floats(header: Dataset, keyword: str, count: int) -> Sequence[float] | None:
    """`count` finite numbers, or None: a broken value must not keep a series from being sorted."""
    try:
        value = header.get(keyword)
        numbers = [float(part) for part in (value if count > 1 else [value])]
    except Exception:  # an element with a broken value raises what its VR's reader raises
        return None
    return numbers if len(numbers) == count and all(math.isfinite(number) for number in numbers) else None
