"""The gate finds what validators pass, and refuses in words."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from support.derivations import derivation_for, derive_again, file_of, parsed, pixels_of

from dicomnode.derive import BrokenInstance, CannotDerive, derive_instance
from dicomnode.derive.gate import check, check_padding
from dicomnode.derive.pixels import PixelFormat


def still_original(made: Dataset, source: Dataset) -> None:
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]


def sources_uid(made: Dataset, source: Dataset) -> None:
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID


def sources_series(made: Dataset, source: Dataset) -> None:
    made.SeriesInstanceUID = source.SeriesInstanceUID


def other_patient(made: Dataset, source: Dataset) -> None:
    made.PatientID = "somebody else"


def other_study(made: Dataset, source: Dataset) -> None:
    made.StudyInstanceUID = "1.2.3"


def moved(made: Dataset, source: Dataset) -> None:
    made.ImagePositionPatient = [0, 0, 0]


def other_spacing(made: Dataset, source: Dataset) -> None:
    made.PixelSpacing = [1, 1]


def long_description(made: Dataset, source: Dataset) -> None:
    made.SeriesDescription = "x" * 65


def no_number(made: Dataset, source: Dataset) -> None:
    made.SeriesNumber = None


def no_source(made: Dataset, source: Dataset) -> None:
    del made.SourceImageSequence


def no_series_reference(made: Dataset, source: Dataset) -> None:
    del made.ReferencedSeriesSequence


def no_mark(made: Dataset, source: Dataset) -> None:
    del made.ContributingEquipmentSequence, made.InstanceCreatorUID, made.Manufacturer


def short_pixels(made: Dataset, source: Dataset) -> None:
    made.PixelData = made.PixelData[:-2]


def other_class(made: Dataset, source: Dataset) -> None:
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"


def no_method(made: Dataset, source: Dataset) -> None:
    del made.LossyImageCompressionMethod


def lossless_again(made: Dataset, source: Dataset) -> None:
    made.LossyImageCompression = "00"


FAULTS: list[tuple[Callable[[Dataset, Dataset], None], str]] = [
    (still_original, "DERIVED"),
    (sources_uid, "SOPInstanceUID is the source's"),
    (sources_series, "SeriesInstanceUID is the source's"),
    (other_patient, "PatientID"),
    (other_study, "StudyInstanceUID"),
    (moved, "ImagePositionPatient"),
    (other_spacing, "PixelSpacing"),
    (long_description, "65 characters"),
    (no_number, "SeriesNumber"),
    (no_source, "SourceImageSequence"),
    (no_series_reference, "ReferencedSeriesSequence"),
    (no_mark, "loop guard"),
    (short_pixels, "PixelData"),
    (other_class, "class"),
    (no_method, "lossily"),
    (lossless_again, "reset"),
]


@pytest.mark.parametrize(("fault", "told"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_fault_is_found(fault: Callable[[Dataset, Dataset], None], told: str) -> None:
    source = dcmread(file_of("693_J2KI.dcm"))
    derivation = derivation_for(source)
    instance = derive_again(source)
    check(instance, source, derivation)
    made = parsed(instance)
    fault(made, source)
    made.save_as(stream := BytesIO())
    with pytest.raises(BrokenInstance, match=told):
        check(replace(instance, file_bytes=stream.getvalue()), source, derivation)


def test_misplaced_padding_is_found() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    own = pixels_of(source).copy()
    own[0, 0] = source.PixelPaddingValue
    form = PixelFormat.of(source)
    check_padding(own, source, own, form)
    with pytest.raises(BrokenInstance, match="padding"):
        check_padding(np.zeros_like(own), source, own, form)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("examples_ybr_color.dcm", "30 frames"),
        ("emri_small.dcm", "10 frames"),
        ("liver_1frame.dcm", "Segmentation Storage"),
        ("rtdose_1frame.dcm", "RT Dose Storage"),
    ],
)
def test_other_objects_are_refused_in_words(name: str, told: str) -> None:
    source = dcmread(file_of(name))
    with pytest.raises(CannotDerive, match=told):
        derive_instance(source, np.zeros((4, 4), np.uint16), derivation_for(source), units="stored")


def test_any_single_frame_goes_as_secondary_capture() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    source.SOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    made = parsed(derive_again(source, {"sop_class": "secondary-capture"}))
    assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert made.ConversionType == "WSD"
    assert made.PatientOrientation == ["L", "P"]
    assert made.RescaleType == "HU"
    assert not {"ImagePositionPatient", "FrameOfReferenceUID", "KVP", "SliceThickness"} & set(made.dir())


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "Rows", "BitsStored"])
def test_a_source_without_its_essentials_is_refused(keyword: str) -> None:
    source = dcmread(file_of("MR_small.dcm"))
    pixels, derivation = pixels_of(source), derivation_for(source)
    delattr(source, keyword)
    with pytest.raises(CannotDerive, match=keyword):
        derive_instance(source, pixels, derivation, units="stored", source_pixels=pixels)


def test_a_source_without_type_2_attributes_is_derived() -> None:
    source = dcmread(file_of("MR_small.dcm"))
    patient = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID")
    for keyword in (*patient, "InstanceNumber", "SeriesNumber", "Laterality", "Manufacturer", "SpecificCharacterSet"):
        if keyword in source:
            delattr(source, keyword)
    made = parsed(derive_again(source))
    assert made.SeriesNumber == 1000
    assert not set(patient) & set(made.dir())
