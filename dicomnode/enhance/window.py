"""A moving window over a stack: each slice is decoded once, few are held at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.images import Pixels
from dicomnode.enhance.modality import modality_lut
from dicomnode.enhance.spot import spot_of
from dicomnode.enhance.stack import Stack


@dataclass(frozen=True)
class Batch:
    """Slices of one stack, decoded, each with its neighbours: (B, 2n+1, H, W), or (B, 2n+1, H, W, 3) for colour."""

    slices: NDArray[Any]
    sop_uids: tuple[str, ...]
    contributors: tuple[tuple[str, ...], ...]
    """For each slice the SOP instance UIDs of those it is made from, itself included, in the order of space."""


def batches(
    plan: Iterable[tuple[Stack, Sequence[int]]], *, neighbours: int, physical: bool, size: Callable[[], int]
) -> Iterator[Batch]:
    """Decode the slices at the ascending indices of each stack, batch by batch; `size` is asked before each.

    Raises CannotDecode with the slice's reason.
    """
    for stack, indices in plan:
        window = Window(stack, neighbours=neighbours, physical=physical)
        todo = list(indices)
        while todo:
            now, todo = todo[: (most := size())], todo[most:]
            uids = tuple(stack[index].sop_uid for index in now)
            yield Batch(window.batch(now), uids, tuple(window.contributors(index) for index in now))


def window_uids(stack: Stack, index: int, neighbours: int) -> tuple[str, ...]:
    """SOP instance UIDs of what a network sees for the slice at `index`: 2 `neighbours` + 1, that slice in the middle.

    At the ends of the stack the nearest slice is repeated.
    """
    last = len(stack) - 1
    return tuple(stack[min(max(index + step, 0), last)].sop_uid for step in range(-neighbours, neighbours + 1))


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
        first = self._pixels(rows[0][0])
        batch = np.empty((len(rows), len(rows[0]), *first.shape), first.dtype.newbyteorder("="))
        for place, row in enumerate(rows):
            for channel, index in enumerate(row):
                pixels = self._pixels(index)
                if (pixels.shape, pixels.dtype.newbyteorder("=")) != (first.shape, batch.dtype):
                    raise CannotDecode("slices of one stack decode to different sizes")
                batch[place, channel] = pixels
        return batch

    def contributors(self, index: int) -> tuple[str, ...]:
        """SOP instance UIDs of the slice at `index` and its neighbours, each once."""
        return tuple(dict.fromkeys(window_uids(self.stack, index, self.neighbours)))

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
                raise CannotDecode(f"image {spot_of(source.header).number:.0f}: {error}") from error
        return self._held[index]
