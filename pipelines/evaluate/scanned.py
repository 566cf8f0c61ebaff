"""The held-out slices again, with noise from gecatsim's scanner in place of the training simulator's."""

from collections.abc import Iterable
from pathlib import Path

from ..simulate.scanner import Scan
from ..simulate.scanner_bank import scanned_stack
from ..volume import load_volume
from .contrast import flat_places
from .figures import body
from .heldout import HELDOUT, HELDOUT_SLICES, Slice


def scanned(
    data: Path, training: Path, scan: Scan | None = None, chosen: Iterable[int] = HELDOUT_SLICES
) -> list[Slice]:
    """Slices of the held-out patient, not the first nor the last; some 20 s for each that is not in the bank yet.

    Raises DataError, also where gecatsim is needed and not installed.
    """
    volume = load_volume(HELDOUT, data, with_labels=False)
    return [
        Slice(
            f"{HELDOUT} {z} gecatsim",
            scanned_stack(volume, z, scan or Scan(), training),
            volume.hu[z],
            body(volume.hu[z]),
            flat_places(volume.hu[z]),
        )
        for z in chosen
    ]
