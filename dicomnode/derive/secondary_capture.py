"""Secondary capture, the fallback where a destination refuses the class: what fits into that IOD (A.8.1)."""

from pydicom import Dataset
from pydicom.tag import BaseTag, Tag

from dicomnode.derive.encode import tags_in

CONVERSION_TYPE = "WSD"

_WHOLE_GROUPS = frozenset({0x0008, 0x0010, 0x0012, 0x0032, 0x0038})

_NOT_OF_0008 = (
    *("StageName", "StageNumber", "NumberOfStages", "ViewName", "ViewNumber", "NumberOfEventTimers"),
    *("NumberOfViewsInStage", "EventElapsedTimes", "EventTimerNames", "StartTrim", "StopTrim"),
    *("RecommendedDisplayFrameRate", "TransducerPosition", "TransducerOrientation"),
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
    *("BluePaletteColorLookupTableDescriptor", "PaletteColorLookupTableUID", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData"),
    *("SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData"),
    *("SegmentedBluePaletteColorLookupTableData", "QualityControlImage", "BurnedInAnnotation"),
    *("RecognizableVisualFeatures", "LossyImageCompression", "LossyImageCompressionRatio"),
    *("LossyImageCompressionMethod", "RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence"),
    *("RequestAttributesSequence", "PerformedProcedureStepID", "PerformedProcedureStepStartDate"),
    *("PerformedProcedureStepStartTime", "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"),
    *("PerformedProcedureStepDescription", "PerformedProtocolCodeSequence"),
    *("CommentsOnThePerformedProcedureStep", "PresentationLUTShape", "ReferencedSeriesSequence"),
    *("StudiesContainingOtherReferencedInstancesSequence",),
)

_KEPT_TAGS = frozenset(Tag(keyword) for keyword in _KEPT)
_OTHER_TAGS = frozenset(Tag(keyword) for keyword in _NOT_OF_0008)


def outside_secondary_capture(source: Dataset) -> frozenset[int]:
    """The tags of `source` that the Secondary Capture Image IOD has no place for: geometry, acquisition, overlays."""
    return frozenset(int(tag) for tag in tags_in(source) if not _fits(tag))


def _fits(tag: BaseTag) -> bool:
    if tag.is_private or tag in _KEPT_TAGS:
        return True
    return tag.group in _WHOLE_GROUPS and tag not in _OTHER_TAGS
