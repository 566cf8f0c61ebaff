"""Small objects that promise to be huge: what each would cost whoever believes it."""

import struct
import zlib
from io import BytesIO

from faults.malformed import MUTATIONS, Request, mutations
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless
from support.instances import ct_template

_SERIES = 190
_FROM_MALFORMED = ("sequences nested 50000 deep", "header inflates to 400 MiB")


def bombs() -> list[Request]:
    """Each in a series of its own, by name."""
    images = [ct_template(16).instance(_SERIES + 100 + number, 1) for number in range(MUTATIONS)]
    old = [request for request in mutations(images) if request.name in _FROM_MALFORMED]
    return [_deflated_pixels(), _rle(), _frames(), _long_value(), *old]


def _deflated_pixels() -> Request:
    """Pixels of 300 MB, deflated a thousand times, that are as large as its header says."""
    dataset = _dataset(1)
    dataset.Rows = dataset.Columns = 12_600
    head, tail = _encoded(dataset, ExplicitVRLittleEndian), 2 * 12_600 * 12_600
    at = head.index(struct.pack("<HH", 0x7FE0, 0x0010))
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    begin = deflater.compress(head[: at + 8] + struct.pack("<L", tail))
    begin += deflater.flush(zlib.Z_FULL_FLUSH)
    mebibyte = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    data_set = begin + mebibyte * (tail >> 20) + deflater.compress(bytes(tail % (1 << 20))) + deflater.flush()
    return _request("pixels inflate to 300 MB", dataset, DeflatedExplicitVRLittleEndian, data_set)


def _rle() -> Request:
    """65,535 x 65,535 pixels in 64 bytes of RLE segments (PS3.5 G.5)."""
    dataset = _dataset(2)
    dataset.Rows = dataset.Columns = 65_535
    frame = struct.pack("<16L", 2, 64, 66, *([0] * 13)) + b"\x81\0" * 32
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return _request("RLE of 65535 squared", dataset, RLELossless, _encoded(dataset, RLELossless))


def _frames() -> Request:
    """A billion frames, of which half a kilobyte is there."""
    dataset = _dataset(3)
    dataset.NumberOfFrames = 1_000_000_000
    return _request("a billion frames", dataset, ExplicitVRLittleEndian, _encoded(dataset, ExplicitVRLittleEndian))


def _long_value() -> Request:
    """A text of 8 MiB where the index looks for a few characters."""
    dataset = _dataset(4)
    dataset.SeriesDescription = "\\".join(["x" * 60] * (8 << 20 >> 6))
    at = _encoded(_dataset(4), ExplicitVRLittleEndian)
    head = at.index(struct.pack("<HH2s", 0x0008, 0x103E, b"LO"))
    length = int.from_bytes(at[head + 6 : head + 8], "little")
    value = b"\x08\x00\x3e\x10UT\0\0" + struct.pack("<L", 8 << 20) + b"x" * (8 << 20)
    data_set = at[:head] + value + at[head + 8 + length :]
    return _request("a description of 8 MiB", dataset, ExplicitVRLittleEndian, data_set)


def _dataset(number: int) -> Dataset:
    image = ct_template(16).instance(_SERIES + number, 1)
    header = bytes(128) + b"DICM"
    meta = b"\x02\0\x10\0UI\x14\0" + ExplicitVRLittleEndian.encode() + b"\0"
    return dcmread(BytesIO(header + b"\x02\0\0\0UL\x04\0" + struct.pack("<L", len(meta)) + meta + image.data_set))


def _encoded(dataset: Dataset, syntax: UID) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    whole = buffer.getvalue()
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


def _request(name: str, dataset: Dataset, syntax: UID, data_set: bytes) -> Request:
    return Request(name, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(syntax), data_set)
