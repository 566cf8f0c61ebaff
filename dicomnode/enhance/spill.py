"""Enhanced slices wait on disk until the series' verdict is known: a flag is written into every image."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from dicomnode.enhance.images import EnhancedSlice


@dataclass(frozen=True)
class _Place:
    slice: EnhancedSlice
    offset: int
    shape: tuple[int, ...]
    dtype: str


class Spill:
    """A nameless temporary file of pixel arrays: gone with the process, however that ends. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._places: list[_Place] = []

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, enhanced: EnhancedSlice) -> None:
        """Keep one slice; its pixels leave memory."""
        pixels = np.ascontiguousarray(enhanced.pixels)
        offset = self._file.tell()
        self._file.write(pixels.data)
        emptied = replace(enhanced, pixels=pixels[:0])
        self._places.append(_Place(emptied, offset, pixels.shape, pixels.dtype.str))

    def slices(self) -> Iterator[EnhancedSlice]:
        """All of them, in the order in which they came."""
        return map(self.slice, range(len(self)))

    def slice(self, number: int) -> EnhancedSlice:
        """The slice that came as this number, counted from 0."""
        place = self._places[number]
        dtype = np.dtype(place.dtype)
        self._file.seek(place.offset)
        raw = self._file.read(int(np.prod(place.shape)) * dtype.itemsize)
        self._file.seek(0, os.SEEK_END)
        return replace(place.slice, pixels=np.frombuffer(raw, dtype).reshape(place.shape))
