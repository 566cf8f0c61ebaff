"""The whole difference between source and derived data set lies in the table of changes."""

from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from support.derivations import derivation_for, derive_again, file_of, parsed, pixels_of

from dicomnode.derive import changes, derive_instance

SOURCES = [
    *("CT_small.dcm", "693_J2KI.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"),
    *("MR-SIEMENS-DICOM-WithOverlays.dcm", "RG1_UNCI.dcm", "US1_UNCI.dcm", "examples_palette.dcm"),
    *("gdcm-US-ALOKA-16.dcm", "examples_jpeg2k.dcm", "SC_rgb_jpeg_dcmtk.dcm", "mlut_18.dcm", "vlut_04.dcm"),
    *("image_dfl.dcm", "bad_sequence.dcm", "explicit_VR-UN.dcm", "color-pl.dcm", "JPEG2000.dcm"),
]


def without_private(dataset: Dataset) -> Dataset:
    copy = Dataset.from_json(dataset.to_json_dict(bulk_data_threshold=10**9, suppress_invalid_tags=True))
    copy.remove_private_tags()
    return copy


def same(before: DataElement, after: DataElement) -> bool:
    if before.VR == "SQ":
        return [without_private(item) for item in before.value] == [without_private(item) for item in after.value]
    return str(before.value).strip("\0 ") == str(after.value).strip("\0 ")


def difference(source: Dataset, derived: Dataset) -> tuple[set[str], set[str]]:
    """Keywords (or tags) that are gone, and those that are new or other. Group lengths and private ones left out."""
    public = {tag for tag in list(source.keys()) if not tag.is_private and tag.element != 0}
    names = {tag: source[tag].keyword or str(tag) for tag in public}
    gone = {names[tag] for tag in public if tag not in derived}
    other = {
        element.keyword or str(element.tag)
        for element in derived
        if element.tag not in source or not same(source[element.tag], element)
    }
    return gone, other


@pytest.mark.parametrize("name", SOURCES)
def test_difference_lies_in_the_table(name: str) -> None:
    source = dcmread(file_of(name))
    gone, other = difference(source, parsed(derive_again(source)))
    assert gone <= changes.DROPPED.keys() | changes.SCANNER_EQUIPMENT.keys()
    assert other <= changes.WRITTEN.keys() | changes.APPENDED.keys()


@pytest.mark.parametrize("name", SOURCES)
def test_keeping_the_scanner_keeps_its_equipment(name: str) -> None:
    source = dcmread(file_of(name))
    gone, other = difference(source, parsed(derive_again(source, {"keep_scanner_equipment": True})))
    assert gone <= changes.DROPPED.keys()
    assert not other & {"Manufacturer", "ManufacturerModelName", "SoftwareVersions", "StationName"}


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "RG1_UNCI.dcm", "US1_UNCI.dcm"])
def test_new_grid_changes_what_lies_in_pixels(name: str) -> None:
    source = dcmread(file_of(name))
    pixels = pixels_of(source)
    finer = np.repeat(np.repeat(pixels, 3, axis=0), 3, axis=1)
    derivation = derivation_for(source, same_grid=False)
    made = derive_instance(source, finer, derivation, units="stored", source_pixels=pixels)
    gone, other = difference(source, parsed(made))
    allowed = changes.DROPPED.keys() | changes.SCANNER_EQUIPMENT.keys() | changes.DROPPED_ON_NEW_GRID.keys()
    assert gone <= allowed
    assert other <= changes.WRITTEN.keys() | changes.APPENDED.keys()
    assert {"Rows", "Columns"} <= other


def test_appended_starts_with_what_the_source_says() -> None:
    source = dcmread(file_of("RG1_UNCI.dcm"))
    derived = parsed(derive_again(source, flag_reason="clipped share 0.03"))
    assert derived.DerivationDescription.startswith(source.DerivationDescription)
    assert derived.ImageComments.startswith(source.ImageComments)
    assert "AI-processed, not original: clipped share 0.03" in derived.ImageComments
    assert derived.DerivationCodeSequence[0] == source.DerivationCodeSequence[0]
    assert len(derived.DerivationCodeSequence) == len(source.DerivationCodeSequence) + 2


def stale(source: Dataset) -> Dataset:
    values: dict[str, Any] = {
        "SmallestImagePixelValue": 0,
        "LargestImagePixelValue": 9,
        "LargestPixelValueInSeries": 9,
        "SOPInstanceStatus": "AO",
        "StorageMediaFileSetUID": "1.2.3",
        "RetrieveAETitle": "PACS",
        "InstanceAvailability": "ONLINE",
        "GantryID": "G1",
        "DateOfLastCalibration": "20200101",
    }
    for keyword, value in values.items():
        setattr(source, keyword, value)
    for keyword in ("IconImageSequence", "HistogramSequence", "ReferencedPerformedProcedureStepSequence"):
        setattr(source, keyword, [Dataset()])
    return source


def test_stale_attributes_go() -> None:
    source = stale(dcmread(file_of("CT_small.dcm")))
    derived = parsed(derive_again(source))
    left = [keyword for keyword in {**changes.DROPPED, **changes.SCANNER_EQUIPMENT} if keyword in derived]
    assert left == []
    assert derived.ContributingEquipmentSequence[0].DateOfLastCalibration == "20200101"


def test_every_keyword_of_the_table_is_the_dictionarys_and_has_a_reason() -> None:
    tables = [changes.WRITTEN, changes.APPENDED, changes.DROPPED, changes.SCANNER_EQUIPMENT]
    tables += [changes.DROPPED_ON_NEW_GRID, changes.DROPPED_WITH_PALETTE]
    for keyword, reason in [row for table in tables for row in table.items()]:
        assert tag_for_keyword(keyword) is not None, keyword
        assert len(reason) > 10, keyword
