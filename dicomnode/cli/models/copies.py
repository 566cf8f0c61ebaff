"""De-identified copies: all that training gets to see of a hospital's images.

A copy is a safetensors file with two arrays, `hu` (Z, H, W) int16 and `spacing` (3,) float64 in mm (z, y, x). No
element of a DICOM header goes into it, so there is nothing to remove; its name is a number. `index.json` beside the
copies says how many slices each has and which are held out. Files are readable by their owner alone (0600).

What stays is the anatomy itself, which is why the copies are personal data still and are deleted after training.
"""

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dicomnode.cli.models.judging import FEWEST_SLICES, Volume
from dicomnode.cli.models.patients import Patient, held_out, name_patients
from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.images import SourceImage

INDEX = "index.json"
_AIR_HU = -1000.0
_LUNG_HU = -300.0
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


@dataclass(frozen=True)
class Copy:
    """One volume as the trainer finds it; `file` is its name in the folder of the index."""

    file: str
    patient: str
    held_out: bool
    slices: int
    pixels: int
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Index:
    """The copies of one run. `files` is how many files the folder they came from held: is it still the same?"""

    files: int
    copies: tuple[Copy, ...]
    left_out: Mapping[str, int]
    """Volumes whose pixels could not be used, by reason."""

    @property
    def patients(self) -> list[str]:
        return list(dict.fromkeys(copy.patient for copy in self.copies))

    @property
    def held_out(self) -> list[str]:
        return list(dict.fromkeys(copy.patient for copy in self.copies if copy.held_out))


class NoCopies(Exception):
    """Not one volume could be copied; the message is a plain sentence."""


@contextmanager
def private() -> Iterator[None]:
    """Whatever is made inside, in this process or its children, is readable by its owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_copies(
    volumes: Sequence[Volume],
    files: int,
    folder: Path,
    most_slices: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Index:
    """Decode the volumes one after the other and write their copies and the index. `report`: (slices done, slices).

    At most `most_slices` slices in all, the same number of each patient as far as it has them, from the middle of its
    volumes. Raises NoCopies. The folder is made; it must not exist.
    """
    names = name_patients(volume.patient for volume in volumes)
    chosen = _within(volumes, most_slices)
    done, total = 0, sum(len(slices) for _, slices in chosen)
    copied: list[Copy] = []
    left_out = Counter[str]()
    numbers = Counter[Patient]()
    with private():
        folder.mkdir(mode=_PRIVATE_FOLDER, parents=True)
        for volume, slices in chosen:
            try:
                hu = _decode(slices)
            except CannotDecode as error:
                left_out[str(error)] += 1
            else:
                numbers[volume.patient] += 1
                file = f"{names[volume.patient]}-volume-{numbers[volume.patient]}.safetensors"
                _write(folder / file, save({"hu": hu, "spacing": np.array(volume.spacing, dtype=np.float64)}))
                copied.append(Copy(file, names[volume.patient], False, len(hu), volume.pixels, volume.spacing))
            done += len(slices)
            report(done, total)
        index = Index(files, _split(copied), left_out)
        if not copied:
            reasons = "; ".join(f"{reason} ({count})" for reason, count in left_out.items())
            raise NoCopies(f"no volume could be copied: {reasons or 'there is none'}")
        _write(folder / INDEX, json.dumps(asdict(index), indent=2).encode())
    return index


def read_index(folder: Path) -> Index:
    """The index of copies that were all written."""
    document = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    copies = tuple(Copy(**{**row, "spacing": tuple(row["spacing"])}) for row in document["copies"])
    return Index(document["files"], copies, document["left_out"])


def _within(volumes: Sequence[Volume], most: int) -> list[tuple[Volume, Sequence[SourceImage]]]:
    """The middle of each volume: every patient an equal share, every volume of a patient an equal part of that."""
    counts = Counter(volume.patient for volume in volumes)
    share = {patient: max(FEWEST_SLICES, most // len(counts) // count) for patient, count in counts.items()}
    return [(volume, _middle(volume.slices, share[volume.patient])) for volume in volumes]


def _middle(slices: Sequence[SourceImage], count: int) -> Sequence[SourceImage]:
    first = max(0, (len(slices) - count) // 2)
    return slices[first : first + count]


def _decode(slices: Sequence[SourceImage]) -> NDArray[np.int16]:
    """(Z, H, W) HU, air outside the reconstruction circle -1000. Raises CannotDecode."""
    hu = np.stack([np.rint(image.load().clip(_AIR_HU, 32767.0)).astype(np.int16) for image in slices])
    air, tissue = float((hu < _LUNG_HU).mean()), float((hu > _LUNG_HU).mean())
    if math.isclose(air, 0, abs_tol=0.01) or math.isclose(tissue, 0, abs_tol=0.01):
        raise CannotDecode("its values are not those of a patient in air: not HU, or no patient")
    return hu


def _split(copied: Sequence[Copy]) -> tuple[Copy, ...]:
    slices = Counter[str]()
    for copy in copied:
        slices[copy.patient] += copy.slices
    kept = held_out(slices)
    return tuple(Copy(**{**asdict(copy), "held_out": copy.patient in kept}) for copy in copied)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE), "wb") as file:
        file.write(data)
