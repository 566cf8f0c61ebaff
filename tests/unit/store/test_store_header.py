import errno
import io
import time
import zlib
from struct import pack

import pytest
from support.rawfiles import sample

from dicomnode.store import header
from dicomnode.store.header import MAX_INFLATED_BYTES, UnreadableHeader, read_header

EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return pack("<HH2sH", group, number, vr, len(value)) + value


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "image_dfl.dcm",
        "JPEG2000.dcm",
        "MR_small_RLE.dcm",
    ],
)
def test_every_encoding_is_read_up_to_its_pixels(name: str) -> None:
    file = sample(name)
    found = read_header(io.BytesIO(file.data_set), file.transfer_syntax)
    assert found.SOPInstanceUID == file.sop_uid
    assert found.SeriesInstanceUID == file.series_uid
    assert "PixelData" not in found
    assert "Rows" in found


def test_the_pixels_of_a_deflate_bomb_are_never_inflated() -> None:
    bomb = element(8, 0x18, b"UI", b"1.2.3\0") + pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 1 << 30) + bytes(1 << 27)
    deflated = io.BytesIO(deflate(bomb))
    began = time.thread_time()
    found = read_header(deflated, DEFLATED)
    assert time.thread_time() - began < 30
    assert found.SOPInstanceUID == "1.2.3"


def test_a_deflate_bomb_in_the_header_passes_the_budget() -> None:
    bomb = pack("<HH2sHL", 8, 0x18, b"UN", 0, 0xFFFFFFF0) + bytes(2 * MAX_INFLATED_BYTES)
    deflated = io.BytesIO(deflate(bomb))
    began = time.thread_time()
    with pytest.raises(UnreadableHeader, match="inflates to more than"):
        read_header(deflated, DEFLATED)
    assert time.thread_time() - began < 30


@pytest.mark.parametrize("depth", [200, 50_000])
def test_sequences_without_end_do_not_crash(depth: int) -> None:
    opened = (pack("<HH2sHL", 0x40, 0xA730, b"SQ", 0, 0xFFFFFFFF) + pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)) * depth
    began = time.thread_time()
    with pytest.raises(UnreadableHeader):
        read_header(io.BytesIO(element(8, 0x18, b"UI", b"1.2.3\0") + opened), EXPLICIT)
    assert time.thread_time() - began < 30


def test_items_without_end_cost_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    items = pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + pack("<HHL", 0xFFFE, 0xE000, 0) * 500_000
    monkeypatch.setattr(header, "MAX_READS", 10_000)
    began = time.thread_time()
    with pytest.raises(UnreadableHeader):
        read_header(io.BytesIO(items), EXPLICIT)
    assert time.thread_time() - began < 30


def test_elements_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    elements = b"".join(element(9, number, b"CS", b"") for number in range(5000))
    assert len(read_header(io.BytesIO(elements), EXPLICIT)) == 5000
    monkeypatch.setattr(header, "MAX_READS", 1000)
    with pytest.raises(UnreadableHeader, match="more elements"):
        read_header(io.BytesIO(elements), EXPLICIT)


def test_a_header_that_ends_inside_a_value_is_refused() -> None:
    whole = element(8, 0x18, b"UI", b"1.2.3\0") + element(8, 0x60, b"CS", b"CT")
    assert read_header(io.BytesIO(whole), EXPLICIT).Modality == "CT"
    with pytest.raises(UnreadableHeader, match=r"ends inside element \(0008,0060\)"):
        read_header(io.BytesIO(whole[:-1]), EXPLICIT)


@pytest.mark.parametrize("data", [b"", b"\0", b"\x08\0\x05\0"])
def test_nothing_is_not_a_data_set(data: bytes) -> None:
    with pytest.raises(UnreadableHeader, match="no elements"):
        read_header(io.BytesIO(data), EXPLICIT)


def test_noise_is_not_a_deflated_data_set() -> None:
    with pytest.raises(UnreadableHeader, match="cannot be parsed"):
        read_header(io.BytesIO(bytes(range(255, 0, -1)) * 9), DEFLATED)


class _Failing(io.BytesIO):
    """Raises `failure` for whatever lies behind the first `whole` bytes."""

    def __init__(self, data: bytes, whole: int, failure: Exception) -> None:
        super().__init__(data)
        self._whole, self._failure = whole, failure

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() + (size or 0) > self._whole:
            raise self._failure
        return super().read(size)


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), EOFError("it became shorter")], ids=repr)
@pytest.mark.parametrize("whole", [0, 16, 21])
@pytest.mark.parametrize("syntax", [EXPLICIT, DEFLATED])
def test_what_the_disk_cannot_do_is_no_fault_of_the_header(syntax: str, whole: int, failure: Exception) -> None:
    data = element(8, 0x16, b"UI", b"1.2.3.4\0") + element(8, 0x18, b"UI", b"1.2.3.5\0")
    data = deflate(data) if syntax == DEFLATED else data
    with pytest.raises(type(failure)) as raised:
        read_header(_Failing(data, whole, failure), syntax)
    assert raised.value is failure
