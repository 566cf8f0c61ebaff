"""The storage classes that the single-frame writer knows."""

from pydicom import Dataset
from pydicom.uid import UID

from dicomnode.derive.errors import CannotDerive

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
CR = "1.2.840.10008.5.1.4.1.1.1"
US = "1.2.840.10008.5.1.4.1.1.6.1"
US_RETIRED = "1.2.840.10008.5.1.4.1.1.6"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DX, DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"
MG, MG_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1"

FOR_PRESENTATION_OF = {DX_FOR_PROCESSING: DX, MG_FOR_PROCESSING: MG}
"""FOR PROCESSING class -> its FOR PRESENTATION class."""

DIGITAL_X_RAY = frozenset({DX, DX_FOR_PROCESSING, MG, MG_FOR_PROCESSING})
SINGLE_FRAME = frozenset({CT, MR, CR, US, US_RETIRED, SECONDARY_CAPTURE}) | DIGITAL_X_RAY

FLOATING_POINT = (0x7FE00008, 0x7FE00009)
"""FloatPixelData and DoubleFloatPixelData."""


def derived_class(source: Dataset, *, secondary_capture: bool) -> str:
    """SOP class of what is derived from `source`. Raises CannotDerive for what this writer does not write."""
    uid = str(source.get("SOPClassUID") or "")
    if not uid:
        raise CannotDerive("the source has no SOPClassUID")
    if (frames := _frames(source)) > 1:
        raise CannotDerive(f"the source has {frames} frames: this writer writes single frames")
    if any(tag in source for tag in FLOATING_POINT):
        raise CannotDerive("the source's pixels are floating point")
    if secondary_capture:
        return SECONDARY_CAPTURE
    if uid not in SINGLE_FRAME:
        raise CannotDerive(f"{UID(uid).name} is not a class of the single-frame writer")
    return FOR_PRESENTATION_OF.get(uid, uid)


def _frames(source: Dataset) -> int:
    value = source.get("NumberOfFrames")
    try:
        return int(value) if value else 1
    except (TypeError, ValueError):
        raise CannotDerive("the source's NumberOfFrames is no number") from None
