"""Secondary capture, the fallback where a destination refuses the class: what fits into that IOD (A.8.1)."""

from typing import Any

from pydicom import Dataset
from pydicom.tag import BaseTag, Tag

from dicomnode.derive.encode import tags_in
from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.pixels import PixelFormat

_AXES = ("LR", "PA", "HF")
"""Letters towards and against x, y and z of the patient-based system."""

_OBLIQUE = 0.0872
"""Sine of 5 degrees: a smaller component is no direction."""

_WHOLE_GROUPS = frozenset({0x0008, 0x0010, 0x0012, 0x0032, 0x0038})

_NOT_OF_0008 = (
    *("StageName", "StageNumber", "NumberOfStages", "ViewName", "ViewNumber", "NumberOfEventTimers"),
    *("NumberOfViewsInStage", "EventElapsedTimes", "EventTimerNames", "StartTrim", "StopTrim"),
    *("RecommendedDisplayFrameRate", "TransducerPosition", "TransducerOrientation", "PresentationIntentType"),
)

_KEPT = (
    *("BodyPartExamined", "ProtocolName", "PatientPosition", "ContributingEquipmentSequence", "ContentQualification"),
    *("DeviceSerialNumber", "SoftwareVersions", "SpatialResolution", "DateOfLastCalibration", "TimeOfLastCalibration"),
    *("ConversionType", "SecondaryCaptureDeviceID", "SecondaryCaptureDeviceManufacturer", "DateOfSecondaryCapture"),
    *("SecondaryCaptureDeviceManufacturerModelName", "SecondaryCaptureDeviceSoftwareVersions"),
    *("TimeOfSecondaryCapture", "VideoImageFormatAcquired", "DigitalImageFormatAcquired", "NominalScannedPixelSpacing"),
    *("StudyInstanceUID", "SeriesInstanceUID", "StudyID", "SeriesNumber", "AcquisitionNumber", "InstanceNumber"),
    *("PatientOrientation", "Laterality", "ImagesInAcquisition", "ImageComments", "SynchronizationFrameOfReferenceUID"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "PixelAspectRatio"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("PixelSpacing", "PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription", "ICCProfile", "ColorSpace"),
    *("RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor"),
    *("BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableData", "QualityControlImage", "BurnedInAnnotation", "RecognizableVisualFeatures"),
    *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence"),
    *("RequestAttributesSequence", "PerformedProcedureStepID", "PerformedProcedureStepStartDate"),
    *("PerformedProcedureStepStartTime", "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"),
    *("PerformedProcedureStepDescription", "PerformedProtocolCodeSequence"),
    *("CommentsOnThePerformedProcedureStep", "PresentationLUTShape", "ReferencedSeriesSequence"),
    *("StudiesContainingOtherReferencedInstancesSequence",),
)

_KEPT_TAGS = frozenset(Tag(keyword) for keyword in _KEPT)
_OTHER_TAGS = frozenset(Tag(keyword) for keyword in _NOT_OF_0008)


def as_secondary_capture(source: Dataset, form: PixelFormat) -> dict[str, Any]:
    """What the IOD asks for and the source's class does not. Raises CannotDerive for a palette it has no place for.

    PatientOrientation (C.7.6.1.1.1) takes the place of the direction cosines; RescaleType (C.11.1.1.2) is the CT's HU.
    """
    if form.photometric == "PALETTE COLOR" and "RedPaletteColorLookupTableData" not in source:
        raise CannotDerive("secondary capture has no segmented palette: the pixels are needed as RGB")
    new: dict[str, Any] = {"ConversionType": "WSD"}
    if "PatientOrientation" not in source:
        new["PatientOrientation"] = patient_orientation(source.get("ImageOrientationPatient"))
    if source.get("RescaleSlope") is not None and not source.get("RescaleType"):
        new["RescaleType"] = "HU" if source.get("Modality") == "CT" else "US"
    return new


def patient_orientation(cosines: Any) -> list[str] | str:
    """Where rows and columns lead, e.g. ["L", "P"]: the patient axes of each, greatest first; empty without cosines."""
    if cosines is None or isinstance(cosines, str) or len(cosines) != 6:
        return ""
    values = [float(cosine) for cosine in cosines]
    return [_letters(values[:3]), _letters(values[3:])]


def _letters(direction: list[float]) -> str:
    axes = sorted(zip(direction, _AXES, strict=True), key=lambda axis: -abs(axis[0]))
    return "".join(letters[0] if cosine > 0 else letters[1] for cosine, letters in axes if abs(cosine) > _OBLIQUE)


def outside_secondary_capture(source: Dataset) -> frozenset[int]:
    """The tags of `source` that the Secondary Capture Image IOD has no place for: geometry, acquisition, overlays."""
    return frozenset(int(tag) for tag in tags_in(source) if not _fits(tag))


def _fits(tag: BaseTag) -> bool:
    if tag.is_private or tag in _KEPT_TAGS:
        return True
    return tag.group in _WHOLE_GROUPS and tag not in _OTHER_TAGS
