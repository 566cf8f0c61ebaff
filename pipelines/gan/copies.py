"""A hospital's de-identified copies as training cases and validation slices. DICOM is never seen here.

`index.json` beside the copies names each volume's file, its patient (a number) and whether that one is held out; the
copies hold `hu` (Z, H, W) int16 and `spacing` (z, y, x) in mm. `dicomnode models train` writes both.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ..data import DataError
from ..evaluate.heldout import TUNING_I0, Slice, simulate
from ..simulate.bank import Case, cases_of
from ..volume import Volume

VALIDATION_SLICES = 8
_SLAB = 6
_SMALLEST_SLAB = 3


@dataclass(frozen=True)
class Copies:
    """The volumes of one run; those of held-out patients validate, the others train.

    With nobody held out a slab in the middle of each volume is kept from training and validates.
    """

    training: tuple[Volume, ...]
    held_out: tuple[Volume, ...]

    def slab(self, volume: Volume) -> range:
        """Slices of a training volume that no step sees; empty where a patient is held out."""
        if self.held_out:
            return range(0)
        size = max(_SMALLEST_SLAB, min(_SLAB, len(volume.hu) // 4))
        first = (len(volume.hu) - size) // 2
        return range(first, first + size)

    def cases(self, folder: Path, report: Callable[[str], None]) -> list[Case]:
        """The training cases, their noise kept in `folder`. Raises DataError where none can be made."""
        return [case for volume in self.training for case in cases_of(volume, self.slab(volume), folder, report)]

    def validation(self) -> list[Slice]:
        """Some slices at a low dose that no training step sees, spread over the volumes that may be used for it."""
        volumes = self.held_out or self.training
        places = [(volume, z) for volume in volumes for z in self._judged(volume)]
        chosen = np.linspace(0, len(places) - 1, min(VALIDATION_SLICES, len(places))).round().astype(int)
        return [one for row in chosen for one in simulate(places[row][0], [places[row][1]], TUNING_I0)]

    def _judged(self, volume: Volume) -> range:
        """Slices with both neighbours: inside the slab, or anywhere in a held-out volume."""
        slab = self.slab(volume) or range(len(volume.hu))
        return range(slab.start + 1, slab.stop - 1)


def read_copies(folder: Path) -> Copies:
    """The volumes of a folder of copies. Raises DataError with a plain sentence."""
    try:
        rows = json.loads((folder / "index.json").read_text(encoding="utf-8"))["copies"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds no complete copies; delete it and run the same command again.") from error
    volumes = [(row["held_out"], _volume(folder / row["file"])) for row in rows]
    if all(held_out for held_out, _ in volumes):
        raise DataError(f"there is no volume to train on in {folder}.")
    return Copies(tuple(_those(volumes, False)), tuple(_those(volumes, True)))


def _those(volumes: list[tuple[bool, Volume]], held_out: bool) -> Iterator[Volume]:
    return (volume for kept, volume in volumes if kept == held_out)


def _volume(path: Path) -> Volume:
    try:
        arrays = load_file(path)
        z, y, x = (float(value) for value in arrays["spacing"])
        return Volume(path.stem, arrays["hu"].astype(np.float32), (z, y, x), (0.0, 0.0, 0.0))
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise DataError(f"{path.name} cannot be read; delete its folder and run the same command again.") from error
