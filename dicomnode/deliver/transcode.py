"""The same pixels without compression, for a destination that takes nothing else (PS3.5 A.1, A.2).

The stored original stays as it is; this is made for one attempt to send, the same bytes each time. Native data sets
change their encoding alone. Compressed pixel data are decoded to what `pixel_array` of pydicom shows: colour comes out
as RGB, whatever it was compressed as, and says so. The SOP Instance UID stays (PS3.4 B.4.1: no other change is a new
instance), and what was compressed with loss says that it was (PS3.3 C.7.6.1.1.5).
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, Sequence, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

Transcode = Callable[[bytes, str], bytes]
"""(Part 10 file, transfer syntax UID) -> its data set in that transfer syntax. Raises CannotTranscode."""

Frames = npt.NDArray[Any]
Decode = Callable[[Dataset], Frames]
"""Compressed pixel data -> integers, all frames: (rows, columns), with frames before and samples behind where there
are several; colour in RGB. Raises CannotTranscode."""

LONGEST = 512 << 20
"""Bytes of a Part 10 file that is transcoded: it is in memory as a whole, and more than once."""

_LOSSLESS = frozenset(
    (
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
        RLELossless,
        UID("1.2.840.10008.1.2.4.92"),  # JPEG 2000 Part 2, lossless only
        UID("1.2.840.10008.1.2.4.201"),  # High-Throughput JPEG 2000, lossless only
        UID("1.2.840.10008.1.2.4.202"),  # the same with RPCL
    )
)
_DEEPEST = 10
"""Sequences within sequences: honest ones stay below. What pydicom says of a value that it cannot write doubles at
every level above it, and sixty levels deep it never comes to an end."""

_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")


class CannotTranscode(Exception):
    """The instance cannot be sent in another transfer syntax; the message is half a sentence that says why."""


class Transcoder:
    """A `Transcode`, given what decodes compressed pixel data. Threads may share it as far as they may share that."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode

    def __call__(self, part10: bytes, target: str) -> bytes:
        try:
            dataset = dcmread(BytesIO(part10))
            source = UID(str(dataset.file_meta.TransferSyntaxUID))
            if source == ExplicitVRBigEndian:
                raise CannotTranscode("big endian data sets are not transcoded")
            if source.is_compressed:
                self._decompress(dataset, source)
            return _encoded(dataset, target)
        except CannotTranscode:
            raise
        except Exception as error:  # stored bytes are as they came: pydicom raises whatever they make it raise
            raise CannotTranscode(f"it cannot be transcoded: {type(error).__name__}") from error

    def _decompress(self, dataset: Dataset, source: UID) -> None:
        """Replace the compressed pixel data, and the elements that described them."""
        if any("PixelData" in item for item in dataset.get("IconImageSequence") or ()):
            raise CannotTranscode("its icon image may be compressed as well")
        bits = int(dataset.BitsAllocated)
        if bits not in (8, 16, 32):
            raise CannotTranscode(f"compressed pixel data of {bits} bits allocated are not transcoded")
        frames = _as_allocated(self._decode(dataset), bits, signed=int(dataset.PixelRepresentation) == 1)
        samples = int(dataset.SamplesPerPixel)
        shape = (int(dataset.Rows), int(dataset.Columns), *((samples,) if samples > 1 else ()))
        count = int(dataset.get("NumberOfFrames") or 1)
        if frames.size != count * int(np.prod(shape)) or frames.shape[-len(shape) :] != shape:
            raise CannotTranscode(f"decoding gave {frames.shape}, not {count} frames of {shape}")
        if samples > 1:
            if dataset.PhotometricInterpretation not in _COLOUR:
                raise CannotTranscode(f"{dataset.PhotometricInterpretation} is not transcoded")
            dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
        if source not in _LOSSLESS:
            dataset.LossyImageCompression = "01"
        for encapsulated_only in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if encapsulated_only in dataset:
                del dataset[encapsulated_only]
        payload = frames.tobytes()
        dataset.PixelData = payload + b"\0" * (len(payload) % 2)
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
        dataset["PixelData"].is_undefined_length = False


def _as_allocated(frames: Frames, bits: int, *, signed: bool) -> Frames:
    """The same numbers in the little endian integers that the header states; decoders may use others."""
    allocated = frames.astype(np.dtype(f"<{'i' if signed else 'u'}{bits // 8}"), copy=False)
    if not np.array_equal(allocated, frames):
        raise CannotTranscode(f"its decoded pixels do not fit into {bits} bits")
    return allocated


def _encoded(dataset: Dataset, target: str) -> bytes:
    _demand_shallow(dataset, is_parsed=dataset.original_encoding != (target == ImplicitVRLittleEndian, True))
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, target == ImplicitVRLittleEndian
    write_dataset(stream, dataset)
    return bytes(stream.getvalue())


def _demand_shallow(dataset: Dataset, *, is_parsed: bool) -> None:
    """Raises CannotTranscode. What reading left as bytes is written as bytes, unless all `is_parsed` on the way."""
    level, depth = [dataset], 0
    while level := [item for one in level for item in _items(one, is_parsed)]:
        depth += 1
        if depth > _DEEPEST:
            raise CannotTranscode(f"its sequences are nested more than {_DEEPEST} deep")


def _items(dataset: Dataset, is_parsed: bool) -> list[Dataset]:
    elements = [dataset[tag] if is_parsed else dataset.get_item(tag) for tag in dataset.keys()]  # noqa: SIM118
    return [item for each in elements if each is not None and isinstance(each.value, Sequence) for item in each.value]
