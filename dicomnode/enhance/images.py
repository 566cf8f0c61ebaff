"""What goes into an enhancement and what comes out, slice by slice. Loads no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.domain.verdict import GuardFigure, Verdict

Pixels = NDArray[Any]
"""Stored integers (H, W) or (H, W, 3), or float32 (H, W) in physical units."""


@dataclass(frozen=True)
class SourceImage:
    """One source instance: its header (pixel data is not looked at) and a way to get its stored integers.

    `load` returns (H, W), or (H, W, 3) in RGB, exactly as pydicom decodes them, and raises CannotDecode. It is
    called when the slice's turn comes, and again if the slice had to be dropped in between.
    """

    sop_uid: str
    header: Dataset
    load: Callable[[], Pixels]


@dataclass(frozen=True)
class EnhancedSlice:
    """One enhanced slice: stored integers as decoded, or float32 in physical units, with its guards' figures."""

    sop_uid: str
    pixels: Pixels
    units: Literal["stored", "physical"]
    figures: tuple[GuardFigure, ...] = ()
    contributors: tuple[str, ...] = ()
    """SOP instances whose pixels the network saw for this slice, itself included, in the order of space."""


@dataclass(frozen=True)
class KnownSlice:
    """A slice that was enhanced before, from the same images: its figures count, its pixels stay where they are."""

    sop_uid: str
    figures: tuple[GuardFigure, ...]


@dataclass(frozen=True)
class Enhanced:
    """The result for a series (or for the slices of it that were wanted).

    `slices` is empty where they were handed to `emit` one by one. `figures` has one row for each guard: its worst
    slice, with mean and maximum in the details. A `verdict` of withhold means that no slice may be published.
    `skipped` gives the reason for every instance that was left out, by SOP instance UID.
    """

    verdict: Verdict
    figures: tuple[GuardFigure, ...]
    skipped: dict[str, str]
    batch_size: int
    seconds: float
    device: str
    precision: Literal["float32", "bfloat16"]
    slices: tuple[EnhancedSlice, ...] = field(default=(), repr=False)
