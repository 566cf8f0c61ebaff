"""Which slices lie beside which: neighbours come from one stack of one grid, in the order of space."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from dicomnode.enhance.images import SourceImage
from dicomnode.enhance.spot import Spot, spot_of

Stack = list[SourceImage]

_SAME_PLACE_MM = 0.01
_NOTHING: Mapping[str, Spot] = {}


def stacks(sources: Iterable[SourceImage], spots: Mapping[str, Spot] = _NOTHING) -> list[Stack]:
    """Sort a series into stacks: same size, same orientation, each place once, ordered along the normal.

    `spots` says by SOP instance UID where images lie; the headers of the others are read. Several images at one place
    (phases, echoes) go to different stacks in the order of Instance Number, so that no phase is another's neighbour.
    """
    grids: dict[tuple[Any, ...], list[tuple[Spot, SourceImage]]] = defaultdict(list)
    for source in sources:
        spot = spots.get(source.sop_uid) or spot_of(source.header)
        grids[spot.grid].append((spot, source))
    return [stack for grid in grids.values() for stack in _one_per_place(grid)]


def _one_per_place(grid: list[tuple[Spot, SourceImage]]) -> list[Stack]:
    placed = sorted((spot.place, spot.number, source.sop_uid, source) for spot, source in grid)
    found: list[Stack] = []
    at_place, last = 0, -math.inf
    for place, _, _, source in placed:
        at_place = at_place + 1 if place - last < _SAME_PLACE_MM else 0
        last = place if at_place == 0 else last
        if at_place == len(found):
            found.append([])
        found[at_place].append(source)
    return found
