"""Slices of a head: anatomy that the network never saw, from a scanner and a patient that it never saw."""

from pathlib import Path

from ..simulate.ct_dose import Dose
from ..volume import load_volume
from .heldout import Slice, simulated

HEAD = "head"
HEAD_SLICES = range(6, 94, 8)
"""From the skull base to below the vertex; one in eight of 1.5 mm."""
HEAD_I0 = 1.1e4
"""Photons for each bin of 0.96 mm at which the head, which is narrower than a chest, shows 30 HU of noise as the chest
does at a quarter dose; a quarter dose would add 11 HU."""


def head_slices(data: Path, i0: float = HEAD_I0) -> list[Slice]:
    """Slices of 256 x 256 pixels of 0.96 mm, 1.5 mm apart, each between its neighbours. Raises DataError.

    The noise has the grain of the chest's in pixels, though pixels here are half as large again: the detector of the
    training simulator follows the pixel.
    """
    volume = load_volume(HEAD, data)
    return [simulated(volume, z, Dose(i0)) for z in HEAD_SLICES]
