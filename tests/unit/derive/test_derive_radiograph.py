"""Radiographs of the DX and MG classes, FOR PROCESSING and FOR PRESENTATION."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, generate_uid
from support.derivations import derivation_for, derive_again, file_of, parsed, pixels_of
from support.validators import new_entity_findings, new_errors, new_warnings

from dicomnode.derive import derive_instance
from dicomnode.derive.sop_classes import DX, DX_FOR_PROCESSING, MG, MG_FOR_PROCESSING


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def radiograph(sop_class: str) -> Dataset:
    """A DX or MG header around the pixels of a real CR image."""
    made = dcmread(file_of("RG3_UNCR.dcm"))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[sop_class])
    mammogram = sop_class in (MG, MG_FOR_PROCESSING)
    made.Modality = "MG" if mammogram else "DX"
    made.PresentationIntentType = "FOR PRESENTATION" if sop_class in (DX, MG) else "FOR PROCESSING"
    made.ImageType = ["ORIGINAL", "PRIMARY", ""]
    made.ImageLaterality = "L" if mammogram else "U"
    made.BodyPartExamined = "BREAST" if mammogram else "CHEST"
    made.AnatomicRegionSequence = [code("76752008", "Breast") if mammogram else code("51185008", "Chest")]
    made.ImagerPixelSpacing = [0.2, 0.2]
    made.PixelIntensityRelationship, made.PixelIntensityRelationshipSign = "LIN", -1
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = 0, 1, "US"
    made.BurnedInAnnotation = "NO"
    made.LossyImageCompression = "00"
    made.DetectorType = "STORAGE"
    made.PatientOrientation = ["A", "F"] if mammogram else ["L", "F"]
    made.PositionerType = "MAMMOGRAPHIC" if mammogram else "NONE"
    if made.PresentationIntentType == "FOR PRESENTATION":
        made.PresentationLUTShape = "INVERSE"
    else:
        for keyword in ("WindowCenter", "WindowWidth"):
            if keyword in made:
                delattr(made, keyword)
    return made


def written(source: Dataset, folder: Path, profile: dict[str, str] | None = None) -> tuple[Path, Path]:
    before, after = folder / "source.dcm", folder / "derived.dcm"
    source.save_as(before)
    after.write_bytes(derive_again(dcmread(before), profile).file_bytes)
    return before, after


@pytest.mark.parametrize("sop_class", [DX, DX_FOR_PROCESSING, MG, MG_FOR_PROCESSING])
def test_validators_find_nothing_new(sop_class: str, tmp_path: Path) -> None:
    before, after = written(radiograph(sop_class), tmp_path)
    assert new_errors([before], [after]) == []
    assert new_warnings([before], [after]) == []
    assert new_entity_findings([before], [after]) == []


@pytest.mark.parametrize("sop_class", [DX_FOR_PROCESSING, MG_FOR_PROCESSING])
def test_as_secondary_capture_validators_find_nothing_new(sop_class: str, tmp_path: Path) -> None:
    before, after = written(radiograph(sop_class), tmp_path, {"sop_class": "secondary-capture"})
    assert new_errors([before], [after]) == []
    assert new_warnings([before], [after]) == []


@pytest.mark.parametrize(("sop_class", "derived"), [(DX_FOR_PROCESSING, DX), (MG_FOR_PROCESSING, MG)])
def test_for_processing_becomes_for_presentation(sop_class: str, derived: str) -> None:
    source = radiograph(sop_class)
    made = parsed(derive_again(source))
    assert made.SOPClassUID == derived
    assert made.PresentationIntentType == "FOR PRESENTATION"
    assert made.PresentationLUTShape == "INVERSE"
    assert (made.RescaleSlope, made.RescaleIntercept, made.RescaleType) == (1, 0, "US")
    low, high = np.percentile(pixels_of(source), (0.5, 99.5))
    assert made.WindowCenter - made.WindowWidth / 2 == pytest.approx(low, abs=0.1)
    assert made.WindowCenter + made.WindowWidth / 2 == pytest.approx(high, abs=0.1)
    assert made.SourceImageSequence[0].ReferencedSOPClassUID == sop_class
    assert made.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121358"


def test_for_presentation_keeps_its_window() -> None:
    source = radiograph(DX)
    source.WindowCenter, source.WindowWidth = 300, 200
    made = parsed(derive_again(source))
    assert (made.WindowCenter, made.WindowWidth) == (300, 200)
    assert made.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


@pytest.mark.parametrize(
    ("sop_class", "said", "wanted"),
    [
        (DX, ["ORIGINAL", "PRIMARY", "AI"], ["DERIVED", "SECONDARY", ""]),
        (DX, ["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY", ""]),
        (MG, ["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY", ""]),
        (
            MG,
            ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"],
            ["DERIVED", "SECONDARY", "TOMOSYNTHESIS", "GENERATED_2D"],
        ),
    ],
)
def test_image_type_value_3(sop_class: str, said: list[str], wanted: list[str]) -> None:
    source = radiograph(sop_class)
    source.ImageType = said
    made = derive_again(source)
    assert list(parsed(made).ImageType) == wanted
    assert "\\".join(wanted).encode() in made.file_bytes


def test_a_flat_image_has_a_window_nonetheless() -> None:
    source = radiograph(DX_FOR_PROCESSING)
    flat = np.full_like(pixels_of(source), 7)
    made = parsed(derive_instance(source, flat, derivation_for(source), units="stored"))
    assert made.WindowWidth >= 1
