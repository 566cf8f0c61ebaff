"""Who made it, from what, and how it is said."""

import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from support.derivations import LOCAL, SMOOTHING, derivation_for, derive_again, file_of, parsed, pixels_of, recipe

from dicomnode import __version__
from dicomnode.derive import CannotDerive, SourceReference, derive_instance
from dicomnode.derive.codes import (
    ACQUISITION_EQUIPMENT,
    FOR_PROCESSING_PREDECESSOR,
    PROCESSING_EQUIPMENT,
    SOURCE_IMAGE,
)
from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.domain.provenance import MANUFACTURER, is_derived_by_dicomnode, series_is_derived_by_dicomnode

SOURCES = ["CT_small.dcm", "MR_small_RLE.dcm", "RG1_UNCI.dcm", "US1_UNCI.dcm", "693_J2KI.dcm", "SC_rgb_rle.dcm"]


def code_of(item: Dataset) -> Code:
    return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)


def all_codes(dataset: Dataset) -> list[Code]:
    return [code_of(element.value[0]) for element in dataset.iterall() if element.keyword.endswith("CodeSequence")]


@pytest.mark.parametrize("name", SOURCES)
def test_every_code_we_write_is_in_the_dictionary(name: str) -> None:
    known = {getattr(codes.DCM, word) for word in codes.DCM.dir()}
    known = {(code.value, code.scheme_designator, code.meaning) for code in known}
    made = parsed(derive_again(dcmread(file_of(name))))
    written = [(code.value, code.scheme_designator, code.meaning) for code in all_codes(made)]
    assert written
    assert [code for code in written if code[1] == "DCM" and code not in known] == []


def test_purposes_are_the_codes_of_the_standard() -> None:
    assert Code("121322", "DCM", "Source image for image processing operation") == SOURCE_IMAGE
    assert Code("121358", "DCM", "For Processing predecessor") == FOR_PROCESSING_PREDECESSOR
    assert Code("109101", "DCM", "Acquisition Equipment") == ACQUISITION_EQUIPMENT
    assert Code("109102", "DCM", "Processing Equipment") == PROCESSING_EQUIPMENT


def test_derivation_is_told_in_text_and_codes() -> None:
    made = parsed(derive_again(dcmread(file_of("CT_small.dcm"))))
    assert made.DerivationDescription == (
        f"noise reduction by ct-denoise 1.2.0 (deep learning, weights sha256 {'ab' * 32})"
    )
    written = [(item.CodeValue, item.CodingSchemeDesignator) for item in made.DerivationCodeSequence]
    assert written == [(SMOOTHING.value, "DCM"), (LOCAL.value, "99DICOMNODE")]
    assert made.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99DICOMNODE"
    assert made.ContentQualification == "RESEARCH"
    assert "SyntheticData" not in made


def test_a_pipeline_without_words_or_weights_is_named() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    made = parsed(derive_again(source, recipe=recipe(weights_sha256=""), description="", codes=()))
    assert made.DerivationDescription == "processed by ct-denoise 1.2.0"
    assert "DerivationCodeSequence" not in made
    assert "CodingSchemeIdentificationSequence" not in made


def test_a_long_history_gives_way_to_our_words() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    source.DerivationDescription = "x" * 1024
    made = parsed(derive_again(source))
    assert len(made.DerivationDescription) == 1024
    assert made.DerivationDescription.endswith("ab)")


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_referenced_once(name: str) -> None:
    source = dcmread(file_of(name))
    pixels = pixels_of(source)
    before, after = (SourceReference(str(source.SOPClassUID), uid) for uid in ("1.2.3.1", "1.2.3.3"))
    own = SourceReference(str(source.SOPClassUID), str(source.SOPInstanceUID))
    made = parsed(
        derive_instance(
            source,
            pixels,
            derivation_for(source),
            units="stored",
            source_pixels=pixels,
            neighbours=[before, own, after, after],
        )
    )
    wanted = [source.SOPInstanceUID, "1.2.3.1", "1.2.3.3"]
    assert [item.ReferencedSOPInstanceUID for item in made.SourceImageSequence] == wanted
    series = [item for item in made.ReferencedSeriesSequence if item.SeriesInstanceUID == source.SeriesInstanceUID]
    assert [item.ReferencedSOPInstanceUID for item in series[0].ReferencedInstanceSequence] == wanted
    assert {item.SpatialLocationsPreserved for item in made.SourceImageSequence} == {"YES"}


def test_earlier_references_stay() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    reference, own, other = Dataset(), Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, "1.2.3.9"
    own.SeriesInstanceUID, own.ReferencedInstanceSequence = source.SeriesInstanceUID, [reference]
    other.SeriesInstanceUID, other.ReferencedInstanceSequence = "1.2.3", [reference]
    source.ReferencedSeriesSequence = [own, other]
    made = parsed(derive_again(source)).ReferencedSeriesSequence
    found = {
        item.SeriesInstanceUID: [image.ReferencedSOPInstanceUID for image in item.ReferencedInstanceSequence]
        for item in made
    }
    assert found == {"1.2.3": ["1.2.3.9"], source.SeriesInstanceUID: ["1.2.3.9", source.SOPInstanceUID]}


def test_equipment_is_the_node_and_the_scanner_a_contributor() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    made = parsed(derive_again(source))
    assert (made.Manufacturer, made.ManufacturerModelName, made.StationName) == ("dicomnode", "dicomnode", "DICOMNODE")
    assert list(made.SoftwareVersions) == [__version__, "ct-denoise 1.2.0"]
    scanner, node = made.ContributingEquipmentSequence
    assert (scanner.Manufacturer, scanner.ManufacturerModelName) == (source.Manufacturer, source.ManufacturerModelName)
    assert code_of(scanner.PurposeOfReferenceCodeSequence[0]) == ACQUISITION_EQUIPMENT
    assert code_of(node.PurposeOfReferenceCodeSequence[0]) == PROCESSING_EQUIPMENT
    assert node.ContributionDateTime == "20260328203015-0500"
    assert node.ContributionDescription == "noise reduction"


def test_equipment_of_a_derived_source_processed_it() -> None:
    source = dcmread(file_of("RG1_UNCI.dcm"))
    earlier = Dataset()
    earlier.Manufacturer = "Reader"
    earlier.PurposeOfReferenceCodeSequence = [Dataset()]
    source.ContributingEquipmentSequence = [earlier]
    first, workstation, _ = parsed(derive_again(source)).ContributingEquipmentSequence
    assert first.Manufacturer == "Reader"
    assert code_of(workstation.PurposeOfReferenceCodeSequence[0]) == PROCESSING_EQUIPMENT


def test_a_source_without_equipment_has_no_item() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    for keyword in ("Manufacturer", "ManufacturerModelName", "StationName", "SoftwareVersions"):
        delattr(source, keyword)
    assert len(parsed(derive_again(source)).ContributingEquipmentSequence) == 1
    source.ManufacturerModelName = "Nameless"
    assert parsed(derive_again(source)).ContributingEquipmentSequence[0].Manufacturer == "UNKNOWN"


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("name", SOURCES)
def test_our_own_is_known_again_and_refused(name: str, keep: bool) -> None:
    source = dcmread(file_of(name))
    made = parsed(derive_again(source, {"keep_scanner_equipment": keep}))
    assert not is_derived_by_dicomnode(source)
    assert is_derived_by_dicomnode(made)
    with pytest.raises(CannotDerive, match="dicomnode"):
        derive_again(made)


@pytest.mark.parametrize("lost", ["ContributingEquipmentSequence", "InstanceCreatorUID"])
def test_one_mark_is_enough(lost: str) -> None:
    made = parsed(derive_again(dcmread(file_of("CT_small.dcm")), {"keep_scanner_equipment": True}))
    delattr(made, lost)
    assert is_derived_by_dicomnode(made)


def test_facts_tell_a_derived_series() -> None:
    def facts(name: str, *values: str) -> SeriesFacts:
        return SeriesFacts({name: AttributeFacts("LO", {(value,): 1 for value in values})}, {})

    assert series_is_derived_by_dicomnode(facts("ContributingEquipmentSequence.Manufacturer", "GE", MANUFACTURER))
    assert series_is_derived_by_dicomnode(facts("Manufacturer", "DICOMNODE "))
    assert not series_is_derived_by_dicomnode(facts("Manufacturer", "GE", "dicomnode clone"))
    assert not is_derived_by_dicomnode({"ContributingEquipmentSequence": [{"Manufacturer": "GE"}]})
    assert is_derived_by_dicomnode({"ContributingEquipmentSequence": [{"Manufacturer": "dicomnode"}]})


def test_flag_and_synthetic_content_are_said() -> None:
    source = dcmread(file_of("MR_small.dcm"))
    made = parsed(derive_again(source, flag_reason="clipped share 0.03", synthetic=True))
    assert made.ImageComments.endswith("AI-processed, not original: clipped share 0.03")
    assert made.SyntheticData == "YES"
    source.SyntheticData = "YES"
    assert parsed(derive_again(source)).SyntheticData == "YES"


@pytest.mark.parametrize(
    ("name", "said", "wanted"),
    [
        ("CT_small.dcm", ["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "AXIAL"]),
        ("693_J2KI.dcm", ["DERIVED ", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "AXIAL"]),
        (
            "gdcm-US-ALOKA-16.dcm",
            ["ORIGINAL", "PRIMARY", "ABDOM/RAD", "0001"],
            ["DERIVED", "SECONDARY", "ABDOM/RAD", "0001"],
        ),
        ("MR2_UNCR.dcm", ["ORIGINAL", "PRIMARY", "OTHER", "M", "SE"], ["DERIVED", "SECONDARY", "OTHER", "M", "SE"]),
        ("mlut_18.dcm", None, ["DERIVED", "SECONDARY"]),
    ],
)
def test_image_type(name: str, said: list[str] | None, wanted: list[str]) -> None:
    source = dcmread(file_of(name))
    assert source.get("ImageType") == said
    assert list(parsed(derive_again(source)).ImageType) == wanted
    assert parsed(derive_again(source, {"image_type_value_2": "PRIMARY"})).ImageType[1] == "PRIMARY"
