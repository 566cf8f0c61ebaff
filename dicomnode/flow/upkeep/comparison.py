"""Do two stored instances show the same pixels? Asked when a known UID comes again in other bytes."""

import numpy as np
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomnode.domain.instance import Location
from dicomnode.enhance.decode import DecodeLimits, Decoder, pixel_header
from dicomnode.enhance.errors import CannotDecode, DecoderEnded
from dicomnode.enhance.images import Pixels
from dicomnode.flow.context import Flow
from dicomnode.flow.upkeep.payload import PIXEL_DATA, Payload, payload
from dicomnode.observe import log
from dicomnode.store.header import UnreadableHeader

MAX_DECODED_BYTES = 32 << 20
"""Of one image: most mammograms have less. The index waits while two are decoded, some seconds for so many bytes."""

_PLAIN = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian})
"""In each of these the same pixels have the same bytes."""

_LIMITS = DecodeLimits(decoded_bytes=MAX_DECODED_BYTES)


def same_pixels(flow: Flow, decoder: Decoder, first: Location, second: Location) -> bool:
    """Whether both have equal bytes of pixels, or decode to equal arrays. Two that have none have the same.

    Whatever the bytes make a reader or a decoder raise, they are not the same, nor are images that would be larger than
    `MAX_DECODED_BYTES` and are not equal as they are: the second is kept all the same, as a conflict that somebody
    looks at. So is one at which the decoder ended twice. Raises OSError, EOFError for bytes that cannot be had from the
    disk, and for a decoder that cannot start.
    """
    try:
        payloads = [payload(flow.root, location) for location in (first, second)]
    except UnreadableHeader:
        return False
    if _same_bytes(*payloads):
        return True
    if max(each.length for each in payloads) > MAX_DECODED_BYTES:
        return False
    pixels = [each.whole() for each in payloads]
    try:
        one, other = (_decoded(decoder, *image) for image in zip(payloads, pixels, strict=True))
        return bool(np.array_equal(one, other))
    except (OSError, MemoryError):  # the decoder's process cannot be started just now
        raise
    except DecoderEnded as error:
        log.warning(
            "two instances of one UID count as different: their pixels could not be decoded",
            container=second.container,
            offset=second.offset,
            reason=str(error),
        )
        return False
    except Exception:  # CannotDecode, or what an odd value in the header leads to
        return False


def _same_bytes(first: Payload, second: Payload) -> bool:
    """Piece by piece, so that a large pair takes no memory."""
    if not any(each.vr or each.length for each in (first, second)):
        return True  # a report, a plan: all that they have is in their headers, whose encodings may differ
    alike = first.syntax == second.syntax or all(each.is_defined and each.syntax in _PLAIN for each in (first, second))
    if not alike or first.length != second.length:
        return False
    return all(one == other for one, other in zip(first.chunks(), second.chunks(), strict=True))


def _decoded(decoder: Decoder, one: Payload, pixels: bytes) -> Pixels:
    image = _image(one, pixels)
    try:
        return decoder.decode(image)
    except DecoderEnded:  # on a machine that was out of memory or busy: a conflict is for ever, asking again is not
        return decoder.decode(image)


def _image(one: Payload, pixels: bytes) -> Dataset:
    """The image within the limits, every value that decoding takes found readable. Raises CannotDecode."""
    image = one.header
    try:
        if one.vr:
            image.add_new(PIXEL_DATA, one.vr, pixels)
        list(image.group_dataset(0x0028))  # the decoder asks for these, pydicom reads a value when it is asked
    except Exception as error:  # whatever pydicom makes of a broken value, OSError as well
        raise CannotDecode("the image's header cannot be read") from error
    pixel_header(image, _LIMITS)
    return image
