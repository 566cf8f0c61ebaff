"""Detection of faint discs in flat tissue of the held-out patient, by a Laguerre-Gauss channelised observer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..simulate.bank import HELDOUT
from ..simulate.ct_dose import QUARTER_DOSE_I0, Dose, noise
from ..simulate.lesions import disc
from ..volume import Volume, load_volume
from .bench import Bench, at_noise, at_strength
from .contrast import flat_places
from .heldout import HELDOUT_SLICES
from .markdown import table
from .methods import Method
from .observer import CHANNELS, Detectability, Responses, channels, detectability

Image = NDArray[np.float32]
SIGNALS = ((3.0, 10.0), (4.0, 7.0), (5.5, 5.0), (8.0, 3.0))
"""Radius in px and contrast in HU: small and plain to large and faint, as in the usual low-contrast phantoms."""
REALISATIONS = 12
REGION = 29
CHANNEL_WIDTH = 4 / 3
"""Of the channels' Gaussian, in radii of the disc."""
_SEED = 41000
_MOVES = ((-1.0, (7, -4)), (1.0, (0, 0)), (-1.0, (-5, 8)))
FULL_DOSE = "full dose"


@dataclass(frozen=True)
class Trial:
    """A noisy stack (3, H, W) without and with discs; `signals` says which disc stands at each place."""

    case: int
    absent: Image
    present: Image
    places: list[tuple[int, int]]
    signals: list[int]


@dataclass(frozen=True)
class Task:
    """d' of each kind of disc, by label of the method."""

    title: ClassVar[str] = "Task: can a faint lesion be seen"
    values: dict[str, list[Detectability]]
    pairs: list[int]
    slices: int
    best: str

    def mean(self, label: str) -> float:
        """d' over the kinds of disc."""
        return float(np.mean([one.value for one in self.values[label]]))

    def over(self, label: str, than: str) -> tuple[float, float, float]:
        """How much more d' one has than another, mean over the discs, with a 95 % interval over slices."""
        draws = np.mean([a.draws - b.draws for a, b in zip(self.values[label], self.values[than], strict=True)], 0)
        low, high = np.percentile(draws, [2.5, 97.5])
        return self.mean(label) - self.mean(than), float(low), float(high)

    def markdown(self) -> str:
        """How it was measured, and a row for each method."""
        head = ["method", *(f"r{radius:g} {contrast:g} HU" for radius, contrast in SIGNALS), "mean", "more than input"]
        rows = []
        for label, found in self.values.items():
            more = "" if label == "input" else "{:+.2f} ({:+.2f} to {:+.2f})".format(*self.over(label, "input"))
            rows.append([label, *map(_cell, found), f"{self.mean(label):.2f}", more])
        optimism = float(np.mean([one.same - one.value for row in self.values.values() for one in row]))
        return (
            f"Detectability d' of discs (radius in px, contrast in HU) by a channelised Hotelling observer with "
            f"{CHANNELS} Laguerre-Gauss channels {CHANNEL_WIDTH:.2f} radii wide on {REGION} x {REGION} px (Gallas and "
            f"Barrett 2003), without internal noise. Form, place and background are known to it. Discs stand in the "
            f"centre slice alone, in flat tissue of {self.slices} slices, {REALISATIONS} realisations of the noise "
            f"each; {min(self.pairs)} to {max(self.pairs)} regions with a disc and as many without, in the same noise, "
            f"for each kind. The template is learned on half of the slices and tried on the other half, both ways; "
            f"learned and tried on the same regions d' is {optimism:.2f} higher. In brackets: 95 % by bootstrap over "
            f"slices of one patient. Full dose: the same noise halved.\n\n" + table(head, rows)
        )


def measure_task(bench: Bench) -> Task:
    """Run the best classical filter and both ends on every realisation. Raises DataError."""
    volume = load_volume(HELDOUT, bench.data, with_labels=False)
    parts = list(bench.each(lambda z: _slice(volume, z, bench.methods()), list(HELDOUT_SLICES)))
    names = parts[0].keys()
    joined = {name: [_join([part[name][kind] for part in parts]) for kind in range(len(SIGNALS))] for name in names}
    values = {"input": joined["input"]}
    for variant in bench.variants()[1:]:
        pairs = zip(joined["input"], joined[variant.method], strict=True)
        values[variant.label] = [before.blend(after, variant.strength) for before, after in pairs]
    values[FULL_DOSE] = joined[FULL_DOSE]
    return Task(
        {label: [detectability(one) for one in rows] for label, rows in values.items()},
        [len(one.case) for one in joined["input"]],
        len(parts),
        bench.classical.name,
    )


def _slice(volume: Volume, z: int, methods: dict[str, Method]) -> dict[str, list[Responses]]:
    """Channel responses on one slice by name of the method, for each kind of disc."""
    found: dict[str, list[list[tuple[NDArray[np.float64], NDArray[np.float64], int]]]] = {}
    for trial in trials(volume, z):
        clean = volume.hu[z]
        discs = trial.present[1] - trial.absent[1]
        images = {"input": (trial.absent[1], trial.present[1])}
        halved = clean + (trial.absent[1] - clean) / 2
        images[FULL_DOSE] = (halved, halved + discs)
        images |= {name: (method(trial.absent), method(trial.present)) for name, method in methods.items()}
        for name, (absent, present) in images.items():
            rows = found.setdefault(name, [[] for _ in SIGNALS])
            for number, (place, kind) in enumerate(zip(trial.places, trial.signals, strict=True)):
                rows[kind].append((_response(absent, place, kind), _response(present, place, kind), number))
    return {name: [_responses(row, z) for row in rows] for name, rows in found.items()}


def trials(volume: Volume, z: int, i0: float = QUARTER_DOSE_I0) -> Iterator[Trial]:
    """A slice with its neighbours in many realisations of the noise; discs change places from one to the next."""
    clean = volume.hu[z - 1 : z + 2]
    places = flat_places(clean[1])
    added = noise(torch.from_numpy(clean[1]), volume.spacing[1], (Dose(i0),) * REALISATIONS, _SEED + z).numpy()
    for turn in range(REALISATIONS):
        three = [sign * np.roll(added[(turn + step) % REALISATIONS], shift, (0, 1))
                 for step, (sign, shift) in zip((1, 0, 2), _MOVES, strict=True)]  # fmt: skip
        absent = clean + np.stack(three).astype(np.float32)
        signals = [(number + turn) % len(SIGNALS) for number in range(len(places))]
        present = absent.copy()
        for place, kind in zip(places, signals, strict=True):
            radius, contrast = SIGNALS[kind]
            present[1] += np.float32(contrast) * disc(clean[1].shape, place, radius)
        yield Trial(z, absent, present, places, signals)


_CHANNELS = [channels(REGION, CHANNEL_WIDTH * radius) for radius, _ in SIGNALS]


def _response(image: Image, place: tuple[int, int], kind: int) -> NDArray[np.float64]:
    row, column = place
    half = REGION // 2
    region = np.take(np.take(image, range(row - half, row + half + 1), 0, mode="clip"),
                     range(column - half, column + half + 1), 1, mode="clip")  # fmt: skip
    response: NDArray[np.float64] = np.tensordot(_CHANNELS[kind], region, 2)
    return response


def _responses(rows: list[tuple[NDArray[np.float64], NDArray[np.float64], int]], z: int) -> Responses:
    absent, present, place = zip(*rows, strict=True)
    return Responses(np.stack(absent), np.stack(present), 1000 * z + np.array(place), np.full(len(place), z))


def _join(parts: list[Responses]) -> Responses:
    return Responses(
        np.concatenate([one.absent for one in parts]),
        np.concatenate([one.present for one in parts]),
        np.concatenate([one.place for one in parts]),
        np.concatenate([one.case for one in parts]),
    )


def _cell(found: Detectability) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(found.value, *found.interval)


def labels(bench: Bench) -> tuple[str, str]:
    """The rows of the network that a series gets: at the default strength and at matched noise."""
    return at_strength(bench.headline, bench.strength), at_noise(bench.headline)
