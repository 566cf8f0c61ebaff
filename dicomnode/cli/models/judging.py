"""Which series become training volumes: what the pipeline says, then even axial stacks of enough slices."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from dicomnode.cli.models.candidates import Candidate, Found
from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.guards.envelope import check_envelope
from dicomnode.enhance.images import SourceImage
from dicomnode.enhance.registry import Entry
from dicomnode.enhance.stack import stacks

FEWEST_SLICES = 8
FEWEST_PIXELS = 128
"""The trainer looks at crops of 96 px and at strips of 128 px."""
_TILT_DEGREES = 1.0
_OTHER_PLANE_DEGREES = 35.0
_UNEVEN = 0.02


@dataclass(frozen=True)
class Volume:
    """An even axial stack of one patient, feet to head or head to feet; `spacing` is (z, y, x) in mm."""

    patient: tuple[str, ...]
    slices: tuple[SourceImage, ...]
    spacing: tuple[float, float, float]
    pixels: int


@dataclass(frozen=True)
class Judged:
    """What may be used, and for each reason how many series, and how many single images, it keeps out."""

    volumes: tuple[Volume, ...]
    series_left_out: Counter[str]
    images_left_out: Counter[str]


def judge(found: Found, entry: Entry) -> Judged:
    """Sort the candidates into volumes and reasons. A series may hold several volumes (phases)."""
    volumes: list[Volume] = []
    series, images = Counter[str](), Counter[str]()
    for candidate in found.candidates:
        images += candidate.left_out
        reason = _why_no_series(candidate, entry)
        if reason:
            series[reason] += 1
            continue
        reasons: list[str] = []
        usable = list(_usable(candidate, reasons))
        volumes += usable
        if not usable:
            series[reasons[0]] += 1
    return Judged(tuple(volumes), series, images)


def tried(judged: Judged) -> Judged:
    """Without the volumes whose middle slice cannot be decoded: what headers alone do not tell."""
    volumes, reasons = [], Counter[str]()
    for volume in judged.volumes:
        try:
            volume.slices[len(volume.slices) // 2].load()
            volumes.append(volume)
        except CannotDecode as error:
            reasons[str(error)] += 1
    return Judged(tuple(volumes), judged.series_left_out + reasons, judged.images_left_out)


def _why_no_series(candidate: Candidate, entry: Entry) -> str:
    if not candidate.slices:
        return f"no image of it can be used: {candidate.left_out.most_common(1)[0][0]}"
    acceptance = entry.accepts(candidate.facts)
    if not acceptance.accepted:
        return f"{entry.name} does not take it: {acceptance.reason}"
    if entry.pipeline is None:
        return entry.error
    return check_envelope(entry.pipeline.envelope, candidate.slice_facts, candidate.facts).reason


def _usable(candidate: Candidate, reasons: list[str]) -> Iterator[Volume]:
    for stack in stacks(candidate.slices):
        reason = next(_why_no_stack(stack), "")
        if reason:
            reasons.append(reason)
            continue
        header = stack[0].header
        row, column = map(float, header.PixelSpacing)
        gaps = _gaps(stack)
        yield Volume(candidate.patient, tuple(stack), (median(gaps), row, column), int(header.Rows))


def _why_no_stack(stack: list[SourceImage]) -> Iterator[str]:
    """Every reason against a stack, the plainest first."""
    if len(stack) < FEWEST_SLICES:
        yield f"fewer than {FEWEST_SLICES} slices"
        return
    if int(stack[0].header.Rows) < FEWEST_PIXELS:
        yield f"fewer than {FEWEST_PIXELS} pixels a side"
    angle = _angle(stack[0])
    if angle > _OTHER_PLANE_DEGREES:
        yield "not axial"
    elif angle > _TILT_DEGREES or abs(float(stack[0].header.get("GantryDetectorTilt") or 0)) > _TILT_DEGREES:
        yield "the gantry was tilted"
    elif not _straight(stack):
        yield "the slices are shifted against each other, as with a tilted gantry"
    if len({tuple(map(float, each.header.PixelSpacing)) for each in stack}) > 1:
        yield "its images differ in Pixel Spacing"
    gaps = _gaps(stack)
    middle = median(gaps)
    if max(abs(gap - middle) for gap in gaps) > max(_UNEVEN * middle, 0.01):
        yield "the slices are not evenly spaced"


def _normal(image: SourceImage) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    cosines = np.array([float(value) for value in image.header.ImageOrientationPatient])
    normal = np.cross(cosines[:3], cosines[3:])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-9), dtype=np.float64)


def _angle(image: SourceImage) -> float:
    """Degrees between the slice's normal and the body's long axis."""
    return float(np.degrees(np.arccos(np.clip(abs(_normal(image)[2]), 0, 1))))


def _places(stack: Iterable[SourceImage]) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return np.array([[float(value) for value in each.header.ImagePositionPatient] for each in stack])


def _straight(stack: list[SourceImage]) -> bool:
    """Whether the corners lie above each other along the normal, within a pixel over the whole stack."""
    corners, normal = _places(stack), _normal(stack[0])
    drift = corners - corners[0]
    aside = drift - np.outer(drift @ normal, normal)
    return float(np.linalg.norm(aside, axis=1).max()) <= float(stack[0].header.PixelSpacing[0])


def _gaps(stack: list[SourceImage]) -> list[float]:
    places = _places(stack) @ _normal(stack[0])
    return [float(after - before) for before, after in pairwise(places)]
