"""One frame of a multi-frame image as an image of its own: its pixels, and what the functional groups say of it."""

from pydicom import DataElement, Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.utils import get_expected_length

from dicomnode.enhance.errors import CannotDecode

_SHARED, _OF_FRAMES = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_MACROS = ("PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence")
"""What is needed to draw: PS3.3 C.7.6.16.2.1, C.7.6.16.2.9 (for CT C.8.15.3.10) and C.7.6.16.2.10."""


def frame_count(image: Dataset) -> int:
    """How many frames the image states; 1 where it states none. Raises CannotDecode for what is no number."""
    try:
        return max(1, int(image.get("NumberOfFrames") or 1))
    except (TypeError, ValueError) as error:
        raise CannotDecode("Number of Frames is no number") from error


def reduce_to_frame(image: Dataset, index: int) -> None:
    """Make a multi-frame image, as it was read, the single-frame image of its frame `index` (from 0).

    No other frame is decoded, nor copied. Raises CannotDecode where the frame cannot be told from the others.
    """
    try:
        count = frame_count(image)
        image.NumberOfFrames = 1
        compressed = image.file_meta.TransferSyntaxUID.is_compressed
        pixels = _encapsulated(image, index, count) if compressed else _native(image, index)
        image["PixelData"] = DataElement("PixelData", "OB" if compressed else image["PixelData"].VR, pixels)
        _lift(image, _SHARED, 0)
        _lift(image, _OF_FRAMES, index)
    except CannotDecode:
        raise
    except Exception as error:  # pydicom raises many kinds for offsets, fragments and elements that make no sense
        raise CannotDecode(f"frame {index + 1} cannot be read: {' '.join(str(error).split())[:300]}") from error


def _native(image: Dataset, index: int) -> bytes:
    length = get_expected_length(image)
    if image.BitsAllocated == 1 and image.Rows * image.Columns * image.SamplesPerPixel % 8:
        raise CannotDecode("its frames share bytes: they are not drawn")
    pixels: bytes = image.PixelData[index * length : (index + 1) * length]
    if len(pixels) < length:
        raise CannotDecode(f"its pixel data ends before frame {index + 1} does")
    return pixels + b"\0" * (length % 2)


def _encapsulated(image: Dataset, index: int, count: int) -> bytes:
    offsets = image.get("ExtendedOffsetTable"), image.get("ExtendedOffsetTableLengths")
    extended = offsets if all(offsets) else None
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        image.pop(keyword, None)
    return encapsulate([get_frame(image.PixelData, index, extended_offsets=extended, number_of_frames=count)])


def _lift(image: Dataset, groups: str, index: int) -> None:
    """Elements of the macros that are needed, from their functional group to where single-frame images have them."""
    found = image.get(groups) or []
    for macro in _MACROS if index < len(found) else ():
        for item in (found[index].get(macro) or [])[:1]:
            image.update(item)
