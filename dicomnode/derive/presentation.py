"""A FOR PROCESSING radiograph becomes one FOR PRESENTATION (C.8.11.1, C.8.11.3)."""

from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from dicomnode.derive.pixels import PixelFormat, Pixels, padding_range
from dicomnode.derive.sop_classes import FOR_PRESENTATION_OF

WINDOW_PERCENTILES = (0.5, 99.5)
"""The window shows what lies between: hot pixels and markers shall not set it."""


def presentation(source: Dataset, stored: Pixels, form: PixelFormat, sop_class: str) -> dict[str, Any]:
    """Intent, LUT shape, rescale and VOI of what is derived from a FOR PROCESSING source; nothing for other sources.

    A secondary capture of such a source has no intent, but needs a window as much.
    """
    presented = FOR_PRESENTATION_OF.get(str(source.get("SOPClassUID")))
    if presented is None:
        return {}
    new: dict[str, Any] = {}
    if sop_class == presented:
        new |= {
            "PresentationIntentType": "FOR PRESENTATION",
            "PresentationLUTShape": "INVERSE" if form.photometric == "MONOCHROME1" else "IDENTITY",
            "RescaleSlope": "1",
            "RescaleIntercept": "0",
            "RescaleType": "US",
        }
    if not (source.get("WindowCenter") and source.get("WindowWidth")) and not source.get("VOILUTSequence"):
        new |= _window(stored, padding_range(source, form))
    return new


def _window(stored: Pixels, padding: tuple[int, int] | None) -> dict[str, str]:
    seen = stored if padding is None else stored[(stored < padding[0]) | (stored > padding[1])]
    low, high = np.percentile(seen, WINDOW_PERCENTILES) if seen.size else (0.0, 1.0)
    width = max(float(high - low), 1.0)
    return {
        "WindowCenter": format_number_as_ds(float(low) + width / 2),
        "WindowWidth": format_number_as_ds(width),
    }
