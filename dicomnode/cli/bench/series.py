"""The series that is measured: made here, or read from a folder; new UIDs each time it is taken."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from uuid import uuid4

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from dicomnode.cli.bench.phantom import ct_series
from dicomnode.cli.common import fail
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.images import SourceImage

Series = Callable[[int | None], list[Dataset]]
"""Gives the data sets of a series that no node has seen; so many of them, or all."""


def made(slices: int, size: int, syntax: UID) -> Series:
    """A synthetic CT series; the pixels are those of every other of this size."""
    series = list(ct_series(slices, size, syntax))
    return lambda most: renamed(series[:most])


def read(folder: Path, most: int) -> Series:
    """The largest series of a folder, at most so many of its files, in the order of Instance Number."""
    found: dict[str, list[Dataset]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = dcmread(path, specific_tags=["SeriesInstanceUID", "InstanceNumber"], stop_before_pixels=True)
        except (InvalidDicomError, EOFError, OSError, ValueError):
            continue
        header.filename = str(path)
        found[str(header.get("SeriesInstanceUID"))].append(header)
    if not found:
        fail(f"there are no DICOM files in {folder}")
    largest = max(found.values(), key=lambda headers: len(headers))
    largest.sort(key=lambda header: int(header.get("InstanceNumber") or 0))
    series: list[Dataset] = [dcmread(str(header.filename)) for header in largest[:most]]
    return lambda most: renamed(series[:most])


def renamed(series: list[Dataset]) -> list[Dataset]:
    """Copies with new study, series and instance UIDs: a node must not know them from the last time."""
    study, own = _uid(), _uid()
    copies = [deepcopy(dataset) for dataset in series]
    for copy in copies:
        copy.StudyInstanceUID, copy.SeriesInstanceUID, copy.SOPInstanceUID = study, own, _uid()
        copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    return copies


def in_memory(series: list[Dataset]) -> Iterator[SourceImage]:
    """The images of a series, decoded: to load one costs nothing."""
    with Decoder() as decoder:
        for dataset in series:
            stored = decoder.decode(dataset)
            header = deepcopy(dataset)
            del header.PixelData
            yield SourceImage(str(dataset.SOPInstanceUID), header, partial(lambda pixels: pixels, stored))


def _uid() -> str:
    return f"2.25.{uuid4().int}"
