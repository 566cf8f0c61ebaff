"""A moving window over a stack: each slice is decoded once, few are held at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.images import Pixels
from dicomnode.enhance.modality import modality_lut
from dicomnode.enhance.stack import Stack


class Window:
    """Batches of a stack with their neighbours. Ask in ascending order; what lies behind is dropped.

    A stack of 2,000 slices of 512 squared would be 2 GiB in float32; the window holds the batch and its neighbours.
    """

    def __init__(self, stack: Stack, *, neighbours: int, physical: bool) -> None:
        self.stack = stack
        self.neighbours = neighbours
        self.physical = physical
        self._held: dict[int, Pixels] = {}

    def batch(self, indices: Sequence[int]) -> NDArray[Any]:
        """The slices at `indices`, each with its neighbours: (B, 2n+1, H, W), or (B, 2n+1, H, W, 3) for colour.

        At the ends of the stack the nearest slice is repeated. Raises CannotDecode with the slice's reason.
        """
        rows = [self._around(index) for index in indices]
        lowest = min(min(row) for row in rows)
        self._held = {index: pixels for index, pixels in self._held.items() if index >= lowest}
        try:
            return np.stack([np.stack([self._pixels(index) for index in row]) for row in rows])
        except ValueError as error:
            raise CannotDecode("slices of one stack decode to different sizes") from error

    def contributors(self, index: int) -> tuple[str, ...]:
        """SOP instance UIDs of the slice at `index` and its neighbours, each once."""
        return tuple(dict.fromkeys(self.stack[around].sop_uid for around in self._around(index)))

    def _around(self, index: int) -> list[int]:
        last = len(self.stack) - 1
        return [min(max(index + step, 0), last) for step in range(-self.neighbours, self.neighbours + 1)]

    def _pixels(self, index: int) -> Pixels:
        if index not in self._held:
            source = self.stack[index]
            try:
                stored = source.load()
                self._held[index] = modality_lut(source.header, stored) if self.physical else stored
            except CannotDecode as error:
                raise CannotDecode(f"image {source.header.get('InstanceNumber')}: {error}") from error
        return self._held[index]
