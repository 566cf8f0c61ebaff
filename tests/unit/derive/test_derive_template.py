"""What instances have alike is worked out once, and no byte depends on what was derived before."""

from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_keyword
from pydicom.uid import UID
from support.derivations import derivation_for, file_of, pixels_of

from dicomnode.derive import Derivation, derive_instance
from dicomnode.derive.readable import UNDERSTOOD
from dicomnode.derive.template import OWN, template_of

FILES = ["CT_small.dcm", "MR_small.dcm", "US1_J2KR.dcm", "examples_palette.dcm", "JPEG2000.dcm", "693_J2KI.dcm"]
PROFILES: list[dict[str, Any]] = [{}, {"sop_class": "secondary-capture"}, {"keep_scanner_equipment": True}]


def derived(source: Dataset, derivation: Derivation) -> bytes:
    pixels = pixels_of(dcmread(BytesIO(written(source))))
    length = len(source.PixelData)
    made = derive_instance(source, pixels, derivation, units="stored", source_pixels=pixels, source_length=length)
    return made.file_bytes


def written(source: Dataset) -> bytes:
    source.save_as(stream := BytesIO())
    return stream.getvalue()


def sibling(name: str) -> Dataset:
    """Another slice of its series, another time, another place."""
    source = dcmread(file_of(name))
    source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = UID("2.25.77")
    source.ContentTime, source.InstanceNumber = "101010", 77
    if "ImagePositionPatient" in source:
        source.ImagePositionPatient = [1, 2, 3]
    return dcmread(BytesIO(written(source)))


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("name", FILES)
def test_no_byte_depends_on_what_was_derived_before(name: str, profile: dict[str, Any]) -> None:
    source = dcmread(file_of(name))
    alone, after = (derivation_for(source, profile) for _ in range(2))
    derived(sibling(name), after)
    assert derived(dcmread(file_of(name)), after) == derived(dcmread(file_of(name)), alone)
    assert len(after.templates) == 1, "the two agree in all that a template follows from"


@pytest.mark.parametrize("keyword", ["Manufacturer", "StudyDescription", "DeviceSerialNumber", "BitsStored"])
def test_a_source_that_differs_has_a_template_of_its_own(keyword: str) -> None:
    source = dcmread(file_of("CT_small.dcm"))
    derivation = derivation_for(source)
    template_of(dcmread(file_of("CT_small.dcm")), pixels_of(source), derivation)
    other = dcmread(file_of("CT_small.dcm"))
    if keyword == "BitsStored":
        other.BitsStored, other.HighBit = 15, 14
    else:
        setattr(other, keyword, "another")
    template_of(other, pixels_of(source), derivation)
    assert len(derivation.templates) == (1 if keyword == "StudyDescription" else 2), "read, or copied unread"


class Watched(Dataset):
    """Notes which of its elements are read."""

    def __init__(self, source: Dataset) -> None:
        super().__init__(source)
        self.__dict__["seen"] = set()
        self.__dict__["file_meta"] = source.file_meta
        self.set_original_encoding(*source.original_encoding)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int):
            self.__dict__["seen"].add(int(key))
        return super().__getitem__(key)


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("name", FILES)
def test_a_template_follows_from_nothing_but_what_is_compared(name: str, profile: dict[str, Any]) -> None:
    source = dcmread(file_of(name))
    derivation, pixels = derivation_for(source, profile), pixels_of(source)
    watched = Watched(source)
    template = template_of(watched, pixels, derivation)
    own = {int(tag): dcmread(file_of(name)) for tag in OWN & watched.keys()}
    assert set() < watched.__dict__["seen"] <= UNDERSTOOD, "a value is read that is not compared"
    for tag, other in own.items():
        del other[tag]
        found = template_of(other, pixels, derivation_for(source, profile))
        assert found == template, f"the template depends on {dictionary_keyword(tag)}"
