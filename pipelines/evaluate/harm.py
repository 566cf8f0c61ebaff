"""No harm: slices as scanned, without added noise, must not be changed by more than their own noise."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..simulate.bank import HELDOUT
from ..volume import load_volume
from .bench import Bench
from .contrast import flat_places
from .figures import body, rmse
from .heldout import HELDOUT_SLICES
from .markdown import table
from .texture import noise_texture


@dataclass(frozen=True)
class Change:
    """Root mean square change in HU, means over slices: in flat tissue, in the body."""

    flat: float
    body: float


@dataclass(frozen=True)
class Harm:
    """By label of the method; `noise` of the slices as scanned in flat tissue, HU."""

    title: ClassVar[str] = "No harm: slices at full dose"
    changes: dict[str, Change]
    noise: float

    def markdown(self) -> str:
        """How it was measured, and a row for each method."""
        rows = [[label, f"{one.flat:.1f}", f"{one.body:.1f}"] for label, one in self.changes.items()]
        return (
            f"The slices as scanned, without added noise, put in. Their own noise in flat tissue is {self.noise:.1f} "
            "HU; they are changed by (root mean square):\n\n"
            + table(["method", "in flat tissue, HU", "in the body, HU"], rows)
        )


def measure_harm(bench: Bench) -> Harm:
    """Every held-out slice as scanned. Raises DataError."""
    volume = load_volume(HELDOUT, bench.data, with_labels=False)
    stacks = [np.ascontiguousarray(volume.hu[z - 1 : z + 2]) for z in HELDOUT_SLICES]
    places = [flat_places(stack[1]) for stack in stacks]
    noise = [noise_texture(stack[1], own)[0] for stack, own in zip(stacks, places, strict=True) if own]
    found = {}
    for name, method in bench.methods().items():
        changes = [image - stack[1] for image, stack in zip(bench.each(method, stacks), stacks, strict=True)]
        flat = [_flat(change, own) for change, own in zip(changes, places, strict=True) if own]
        inside = [rmse(c + s[1], s[1], body(s[1])) for c, s in zip(changes, stacks, strict=True)]
        found[name] = Change(float(np.mean(flat)), float(np.mean(inside)))
    changes_by_label = {
        one.label: Change(one.strength * found[one.method].flat, one.strength * found[one.method].body)
        for one in bench.variants()[1:]
        if one.strength in (1.0, bench.strength)
    }
    return Harm(changes_by_label, float(np.mean(noise)))


def _flat(change: np.ndarray[tuple[int, ...], np.dtype[np.float32]], places: list[tuple[int, int]]) -> float:
    """Root mean square over 16 x 16 px about each place."""
    patches = [change[r - 8 : r + 8, c - 8 : c + 8] for r, c in places]
    return float(np.sqrt(np.mean(np.square(patches))))
