"""A header that was cut out by hand is the one that pydicom reads, or there is none."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomnode.store.header import UnreadableHeader, read_header
from dicomnode.store.raw_header import raw_header

FILES = sorted(
    path for path in (Path(pydicom.__file__).parent / "data").rglob("*.dcm") if path.stat().st_size < 1 << 20
)


def by_pydicom(data: bytes) -> Dataset:
    """As `reading.read_header` reads what is unusual."""
    stream = BytesIO(data)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    found = read_header(stream, str(meta.get("TransferSyntaxUID", "")))
    found.file_meta = FileMetaDataset(meta)
    return found


def all_of(header: Dataset) -> Any:
    """Every element as it is held, and how its text would be read."""
    meta = [(element.tag, element.VR, element.value) for element in header.file_meta]
    return list(header.items()), meta, header.original_encoding, header.original_character_set


def image(**values: Any) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.PatientName, dataset.Rows = "Doe^Jane", 2
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = bytes(8)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(stream := BytesIO(), enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_agrees_with_pydicom(path: Path) -> None:
    data = path.read_bytes()
    found = raw_header(data)
    if found is not None:
        assert all_of(found) == all_of(by_pydicom(data))


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_what_is_usual_is_read(name: str) -> None:
    (path,) = (path for path in FILES if path.name == name)
    found = raw_header(path.read_bytes())
    assert found is not None
    assert found.SOPInstanceUID == dcmread(path).SOPInstanceUID


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "", ["", "ISO 2022 IR 87"]])
def test_character_sets(charset: Any) -> None:
    data = image(SpecificCharacterSet=charset, PatientName="A^B")
    found = raw_header(data)
    if isinstance(charset, str):
        assert found is not None
    if found is not None:
        assert all_of(found) == all_of(by_pydicom(data))


def test_an_empty_value_is_as_pydicom_has_it() -> None:
    data = image(PatientID="", Columns=None, SliceThickness=None, DerivationCodeSequence=[])
    found = raw_header(data)
    assert found is not None
    assert all_of(found) == all_of(by_pydicom(data))


@pytest.mark.parametrize("cut", range(0, len(image()), 7))
def test_what_ends_too_early_is_declined(cut: int) -> None:
    assert raw_header(image()[:cut]) is None or cut > image().index(b"\xe0\x7f\x10\x00")


@given(st.binary(min_size=1, max_size=8), st.integers(min_value=132, max_value=len(image()) - 1))
def test_whatever_a_byte_becomes_it_agrees_or_declines(other: bytes, at: int) -> None:
    whole = image(SpecificCharacterSet="ISO_IR 100", DerivationCodeSequence=[Dataset()])
    data = whole[:at] + other + whole[at + len(other) :]
    found = raw_header(data)
    if found is None:
        return
    try:
        expected = by_pydicom(data)
    except UnreadableHeader:
        pytest.fail("it reads what pydicom refuses")
    assert all_of(found) == all_of(expected)
