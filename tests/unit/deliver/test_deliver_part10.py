"""The data set of a Part 10 file, byte for byte."""

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filereader import read_file_meta_info, read_preamble

from dicomnode.deliver.part10 import NotPart10, data_set_bytes

NAMES = ["CT_small.dcm", "MR_small.dcm", "JPEG-lossy.dcm", "image_dfl.dcm", "rtplan.dcm", "ExplVR_BigEnd.dcm"]


@pytest.mark.parametrize("name", NAMES)
def test_the_data_set_starts_where_pydicom_says(name: str) -> None:
    path = Path(str(get_testdata_file(name, download=False)))
    part10 = path.read_bytes()
    stream = BytesIO(part10)
    read_preamble(stream, False)
    meta = read_file_meta_info(path)
    length = 132 + 12 + meta.FileMetaInformationGroupLength
    assert data_set_bytes(part10) == part10[length:]


def test_a_wrong_group_length_is_not_believed() -> None:
    dataset = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    right = BytesIO()
    dataset.save_as(right)
    part10 = bytearray(right.getvalue())
    part10[140:144] = b"\x02\0\0\0"
    assert data_set_bytes(bytes(part10)) == data_set_bytes(right.getvalue())


def test_nothing_is_copied() -> None:
    part10 = Path(str(get_testdata_file("CT_small.dcm", download=False))).read_bytes()
    assert data_set_bytes(part10).obj is part10


@given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda tail: b"\0" * 128 + b"DICM\x02\x00" + tail))
def test_other_bytes_are_refused_or_end_inside(part10: bytes) -> None:
    try:
        rest = data_set_bytes(part10)
    except NotPart10:
        return
    assert part10.endswith(rest.tobytes())
    assert part10[128:132] == b"DICM"
