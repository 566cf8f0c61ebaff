"""For sending: compressed frames decoded by the confined process of `enhance`, one at a time (`deliver.transcode`)."""

from functools import partial

import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames

from dicomnode.deliver.transcode import CannotTranscode, Frames, Transcoder
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import CannotDecode

_DESCRIBING = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def transcoder(decoder: Decoder) -> Transcoder:
    """What sends an instance uncompressed where its destination takes nothing else."""
    return Transcoder(partial(decode_frames, decoder))


def decode_frames(decoder: Decoder, image: Dataset) -> Frames:
    """All frames of a compressed image. Each is held against the decoder's limits, all against their common budget.

    Raises CannotTranscode.
    """
    count = int(image.get("NumberOfFrames") or 1)
    frame = Dataset()
    frame.file_meta = image.file_meta
    for keyword in _DESCRIBING:
        if keyword in image:
            frame[keyword] = image[keyword]
    decoded = []
    for number, content in enumerate(generate_frames(image.PixelData, number_of_frames=count), start=1):
        frame.PixelData = encapsulate([content])
        try:
            decoded.append(decoder.decode(frame))
        except CannotDecode as error:
            raise CannotTranscode(f"frame {number} cannot be transcoded: {error}") from error
        if count * decoded[0].nbytes > decoder.limits.memory_bytes // 2:
            raise CannotTranscode(f"its {count} frames would take {count * decoded[0].nbytes >> 20} MiB decoded")
    return np.stack(decoded) if count > 1 else decoded[0]
