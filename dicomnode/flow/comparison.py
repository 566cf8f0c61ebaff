"""Do two stored instances show the same pixels? Asked when a known UID comes again in other bytes."""

import numpy as np

from dicomnode.domain.instance import Location
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import CannotDecode
from dicomnode.flow.context import Flow
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.reading import read_dataset


def same_pixels(flow: Flow, decoder: Decoder, first: Location, second: Location) -> bool:
    """Whether both decode to equal arrays. What cannot be decoded is compared by its bytes."""
    try:
        images = [read_dataset(flow.root, location) for location in (first, second)]
    except UnreadableHeader:
        return False
    payloads = [image.get("PixelData") for image in images]
    if payloads[0] == payloads[1]:
        return True
    try:
        decoded = [decoder.decode(image) for image in images]
    except CannotDecode:
        return False
    return bool(np.array_equal(decoded[0], decoded[1]))
