"""Stored integers to physical units: the modality LUT (PS3.3 C.11.1)."""

import math

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut

from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.images import Pixels


def modality_lut(header: Dataset, stored: Pixels) -> NDArray[np.float32]:
    """Stored integers (H, W) in the units of the modality (HU for CT), as contiguous float32.

    With a Modality LUT Sequence its table is looked up; else Rescale Slope times the value plus Rescale Intercept,
    in double precision before it is rounded; without both the stored values themselves. Neither the VOI LUT nor
    MONOCHROME1 plays a part. Raises CannotDecode for a slope of zero or values that are no numbers.
    """
    try:
        if header.get("ModalityLUTSequence"):
            return np.ascontiguousarray(apply_modality_lut(stored, header), dtype=np.float32)
        slope, intercept = _number(header, "RescaleSlope", 1.0), _number(header, "RescaleIntercept", 0.0)
    except Exception as error:  # an element with a broken value raises what its VR's reader raises
        raise CannotDecode("the modality LUT cannot be read") from error
    if slope == 0 or not math.isfinite(slope) or not math.isfinite(intercept):
        raise CannotDecode(f"Rescale Slope {slope:g} and Rescale Intercept {intercept:g} give no physical values")
    return np.ascontiguousarray(stored * np.float64(slope) + intercept, dtype=np.float32)


def _number(header: Dataset, keyword: str, default: float) -> float:
    value = header.get(keyword)
    return default if value is None or value == "" else float(value)
