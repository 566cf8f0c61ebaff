"""Where a series' slices lie and when they were made, from the distinct values of its attributes alone."""

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from dicomnode.domain.facts import AttributeFacts, Scalar

Attributes = Mapping[str, AttributeFacts]
Vectors = NDArray[np.float64]

SAME_DIRECTION = 1e-3
"""Largest difference of two direction cosines of one orientation; scanners round to about six digits."""
SAME_POSITION_MM = 1e-3
UNIFORM = 0.01
AXIS_COSINE = 0.8
"""A slice belongs to a plane of the body if its normal's largest cosine reaches this (PixelMed's ImageOrientation)."""

# Head-feet normal: axial; front-back: coronal; left-right: sagittal (patient axes x, y, z of PS3.3 C.7.6.2.1.1).
_PLANES = ("sagittal", "coronal", "axial")
_FRAMES = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")


def slice_geometry(attributes: Attributes) -> dict[str, Scalar | None]:
    """Orientation, and the slice positions along the normal; None where the images do not tell.

    The normal is row x column direction (PS3.3 C.7.6.2.1.1); positions nearer than 0.001 mm count as one, so echoes
    or time points on one place do not shorten the distance between slices.
    """
    unknown: dict[str, Scalar | None] = dict.fromkeys(
        ("orientation", "position_count", "spacing_between_slices", "spacing_uniform", "coverage_mm")
    )
    directions = _vectors(attributes, "PlaneOrientationSequence.ImageOrientationPatient", 6)
    if not len(directions):
        return unknown
    if float(np.ptp(directions, axis=0).max()) > SAME_DIRECTION:
        return {**unknown, "orientation": "mixed"}
    normal = np.cross(directions[0, :3], directions[0, 3:])
    length = float(np.linalg.norm(normal))
    if not 0.5 < length < 2:
        return unknown
    normal /= length
    axis = int(np.abs(normal).argmax())
    orientation = _PLANES[axis] if abs(normal[axis]) >= AXIS_COSINE else "oblique"
    positions = _vectors(attributes, "PlanePositionSequence.ImagePositionPatient", 3)
    return {**unknown, "orientation": orientation, **_distances(np.sort(positions @ normal))}


def _distances(places: Vectors) -> dict[str, Scalar | None]:
    """`places`: sorted positions along the normal, mm."""
    distinct: list[float] = []
    for place in places.tolist():
        if not distinct or place - distinct[-1] > SAME_POSITION_MM:
            distinct.append(place)
    if len(distinct) < 2:
        return {"position_count": len(distinct) or None}
    gaps = [after - before for before, after in pairwise(distinct)]
    middle = median(gaps)
    return {
        "position_count": len(distinct),
        "spacing_between_slices": round(middle, 4),
        "spacing_uniform": max(abs(gap - middle) for gap in gaps) <= max(UNIFORM * middle, 0.01),
        "coverage_mm": round(distinct[-1] - distinct[0], 4),
    }


def _vectors(attributes: Attributes, path: str, size: int) -> Vectors:
    """Distinct values (n, size) of the last name of `path`: of the image, else of its frames; broken ones left out."""
    for name in (path.rpartition(".")[2], *(f"{frames}.{path}" for frames in _FRAMES)):
        found = attributes.get(name)
        rows = [value for value in (found.values if found else ()) if _is_vector(value, size)]
        if rows:
            return np.array(rows, dtype=np.float64)
    return np.empty((0, size))


def _is_vector(value: tuple[Scalar, ...], size: int) -> bool:
    return len(value) == size and all(isinstance(part, int | float) and abs(part) < 1e7 for part in value)


def acquisition_seconds(attributes: Attributes) -> float | None:
    """From the first to the last acquisition time, in seconds; None where it is not known or spans two dates."""
    moments = _moments(attributes, "AcquisitionDateTime", "%Y%m%d%H%M%S")
    if not moments:
        dates = attributes.get("AcquisitionDate")
        if dates is not None and len(dates.values) > 1:
            return None
        moments = _moments(attributes, "AcquisitionTime", "%H%M%S")
    return round((max(moments) - min(moments)).total_seconds(), 3) if moments else None


def _moments(attributes: Attributes, name: str, form: str) -> list[datetime]:
    found = attributes.get(name)
    moments = []
    for value in found.values if found else ():
        digits, _, fraction = str(value[0]).replace(":", "").partition(".")
        try:
            moment = datetime.strptime(digits[: 14 if form.startswith("%Y") else 6], form)
        except ValueError:
            continue
        micro = "".join(char for char in fraction[:6] if char in "0123456789").ljust(6, "0")
        moments.append(moment.replace(microsecond=int(micro)))
    return moments
