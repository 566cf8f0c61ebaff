"""Mean error in HU, by organ label where there are labels and by class of tissue on the held-out patient."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..simulate.bank import BODIES, HELDOUT, VALIDATION_SLABS
from ..volume import load_volume
from .bench import Bench
from .figures import Mask, body
from .folds import unseen
from .heldout import BODY_I0, BODY_SLICES, Slice, simulate
from .markdown import table
from .methods import Method, Network
from .structures import STRUCTURES

Image = NDArray[np.float32]
Labels = NDArray[np.int64]
CLASSES = {
    "air": (-1100.0, -960.0),
    "lung": (-950.0, -600.0),
    "fat": (-140.0, -60.0),
    "soft tissue": (0.0, 120.0),
    "bone": (250.0, 3000.0),
}
"""HU of the reference, smoothed with a Gaussian of 1.5 px; two pixels of border are left out."""
FEWEST = 2000
"""Pixels that a label must have to be counted."""
_BORDER = 2


@dataclass(frozen=True)
class Error:
    """Mean error of the network's output in one region of one body, HU."""

    body: str
    region: str
    pixels: int
    error: float


@dataclass(frozen=True)
class Bias:
    """By class on the held-out patient, by label on all bodies; `sources` says of which network on which slices."""

    title: ClassVar[str] = "Bias"
    classes: list[Error]
    organs: list[Error]
    sources: list[str]
    method: str

    @property
    def worst(self) -> Error:
        """The label with the largest error."""
        return max(self.organs, key=lambda one: abs(one.error))

    def markdown(self, shown: int = 12) -> str:
        """How it was measured, the classes, and the labels with the largest errors."""
        ranked = sorted(self.organs, key=lambda one: -abs(one.error))
        rows = [
            [one.body, one.region, str(one.pixels), f"{one.error:+.2f}"] for one in (*self.classes, *ranked[:shown])
        ]
        within = sum(abs(one.error) <= 1.5 for one in ranked)
        return (
            f"Mean error in HU of the {self.method}. Each slice is run with its noise and with the noise turned in "
            f"sign, so that the mean of the noise itself cancels. {' '.join(self.sources)} Labels with at least "
            f"{FEWEST} pixels: {len(ranked)}, of which {within} within 1.5 HU; shown are the classes of tissue and the "
            f"{min(shown, len(ranked))} labels with the largest errors.\n\n"
            + table(["body", "region", "pixels", "error HU"], rows)
        )


def measure_bias(bench: Bench) -> Bias:
    """Every body with its labels. Raises DataError."""
    organs: list[Error] = []
    classes: list[Error] = []
    sources = []
    for name in BODIES:
        path, slab = unseen(name, bench.weights), VALIDATION_SLABS[name]
        chosen = BODY_SLICES[name] if path else range(slab.start + 1, slab.stop - 1)
        volume = load_volume(name, bench.data)
        assert volume.labels is not None
        slices = simulate(volume, chosen, BODY_I0[name])
        network = Network(path) if path and path != bench.weights else bench.network
        method = network.at(bench.strength, bench.texture)
        pairs = [(one.noisy, volume.hu[z - 1 : z + 2]) for one, z in zip(slices, chosen, strict=True)]
        errors = list(bench.each(partial(_pair_error, method), pairs))
        labels = [volume.labels[z].astype(np.int64) for z in chosen]
        organs += by_label(name, errors, labels, STRUCTURES if name == "cxr" else {1: "tumour"})
        if name == HELDOUT:
            classes = by_class(name, errors, slices)
        seen = "a network that saw nothing of it" if path else "the shipped network, slices that no training step saw"
        sources.append(f"{name}: {len(chosen)} slices, {seen}.")
    return Bias(classes, organs, sources, f"{bench.headline} at strength {bench.strength:g}")


def error_image(method: Method, noisy: Image, clean: Image) -> Image:
    """Mean error of the centre slice over the noise and its negative. Two stacks (3, H, W) HU -> (H, W) HU."""
    mean: Image = (method(noisy) + method(2 * clean - noisy)) / 2 - clean[1]
    return mean


def _pair_error(method: Method, pair: tuple[Image, Image]) -> Image:
    return error_image(method, *pair)


def by_label(name: str, errors: list[Image], labels: list[Labels], names: dict[int, str]) -> list[Error]:
    """The mean error of each label that has enough pixels over all slices."""
    label, error = np.concatenate([one.ravel() for one in labels]), np.concatenate([one.ravel() for one in errors])
    pixels = np.bincount(label, minlength=max(names) + 1)
    sums = np.bincount(label, weights=error, minlength=max(names) + 1)
    return [
        Error(name, region, int(pixels[key]), float(sums[key] / pixels[key]))
        for key, region in names.items()
        if pixels[key] >= FEWEST
    ]


def by_class(name: str, errors: list[Image], slices: Iterable[Slice]) -> list[Error]:
    """The mean error in the inside of each class of tissue."""
    sums = {tissue: [0, 0.0] for tissue in CLASSES}
    for error, one in zip(errors, slices, strict=True):
        for tissue, mask in class_masks(one.clean).items():
            sums[tissue][0] += int(mask.sum())
            sums[tissue][1] += float(error[mask].sum())
    return [Error(name, tissue, int(n), total / n) for tissue, (n, total) in sums.items() if n]


def class_masks(reference: Image) -> dict[str, Mask]:
    """Where the smoothed reference is of a class, without borders; all but air inside the body."""
    smooth = ndimage.gaussian_filter(reference, 1.5)
    inside = body(reference)
    masks = {}
    for tissue, (low, high) in CLASSES.items():
        where = (smooth >= low) & (smooth < high) & (~inside if tissue == "air" else inside)
        masks[tissue] = ndimage.binary_erosion(where, iterations=_BORDER)
    return masks
