"""Headers of two instances of one UID are compared whatever is in them."""

from io import BytesIO
from struct import pack

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomnode.store.header import read_header
from dicomnode.store.versions import Version, classify, differences

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")  # of values that are broken on purpose


def element(number: int, vr: bytes, value: bytes) -> bytes:
    """One of group 0008."""
    length = pack("<HL", 0, len(value)) if vr == b"SQ" else pack("<H", len(value))
    return pack("<HH", 0x0008, number) + vr + length + value


def nested(inner: bytes, levels: int) -> Dataset:
    """A header with `inner` inside sequences of defined length, which nothing reads before it must."""
    for _ in range(levels):
        inner = element(0x1115, b"SQ", b"\xfe\xff\x00\xe0" + pack("<L", len(inner)) + inner)
    return read_header(BytesIO(inner), ExplicitVRLittleEndian)


@pytest.mark.parametrize("levels", [1, 60, 5000])
@pytest.mark.parametrize("vr", [b"US", b"FD", b"IS"])
def test_a_value_that_cannot_be_read_is_compared_by_its_bytes(vr: bytes, levels: int) -> None:
    one, again, other = (nested(element(0x1155, vr, value), levels) for value in (b"abc", b"abc", b"abd"))
    name = ["ReferencedSeriesSequence"]
    assert differences(one, other) == name
    if levels < 100:
        assert differences(one, again) == []
    assert classify(name, lambda: True) is Version.CONFLICT


def test_padding_and_the_encoding_of_items_are_no_difference() -> None:
    item, shorter = Dataset(), Dataset()
    item.StudyDescription, item.SeriesDescription, item.PatientID = "head ", "", "1"
    shorter.StudyDescription, shorter.PatientID = "head", "1 "
    headers = []
    for each, syntax in ((item, ExplicitVRLittleEndian), (shorter, ImplicitVRLittleEndian)):
        dataset, stream = Dataset(), BytesIO()
        dataset.ReferencedSeriesSequence = [each]
        dataset.save_as(stream, implicit_vr=syntax.is_implicit_VR, little_endian=True)
        stream.seek(0)
        headers.append(read_header(stream, syntax))
    assert differences(*headers) == []


def test_bytes_within_items_count_whatever_their_number() -> None:
    headers = []
    for value in (bytes(100), bytes(99) + b"\1"):
        item, dataset = Dataset(), Dataset()
        item.add_new(0x00091010, "OB", value)
        dataset.ReferencedSeriesSequence = [item]
        headers.append(dataset)
    assert differences(*headers) == ["ReferencedSeriesSequence"]
