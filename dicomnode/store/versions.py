"""What it means when a known SOP instance UID comes again with other bytes."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.sequence import Sequence


class Version(StrEnum):
    """How the newcomer relates to the instance that is kept."""

    VARIANT = "variant"
    """The same pixels and header in another transfer syntax or encoding."""
    CORRECTION = "correction"
    """The same pixels with changed demographics of patient, visit, study or order."""
    CONFLICT = "conflict"
    """Anything else: the first is kept, the newcomer is quarantined."""


DEMOGRAPHICS = frozenset(
    {
        "AccessionNumber", "AdditionalPatientHistory", "AdmissionID", "EthnicGroup", "IssuerOfPatientID",
        "OtherPatientIDs", "OtherPatientIDsSequence", "OtherPatientNames", "PatientAge", "PatientBirthDate",
        "PatientBirthTime", "PatientComments", "PatientID", "PatientName", "PatientSex", "PatientSize", "PatientWeight",
        "ReferringPhysicianName", "RequestAttributesSequence", "RequestedProcedureDescription", "StudyDate",
        "StudyDescription", "StudyID", "StudyTime", "Occupation", "PregnancyStatus", "MedicalAlerts", "Allergies",
        "SmokingStatus", "CurrentPatientLocation", "RequestingPhysician", "RequestingService",
    }
)  # fmt: skip
"""Patient, Patient Study, General Study and request attributes (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2): corrections."""

ENCODING = frozenset(
    {
        "BitsAllocated", "BitsStored", "HighBit", "LossyImageCompression", "LossyImageCompressionMethod",
        "LossyImageCompressionRatio", "PhotometricInterpretation", "PixelRepresentation", "PlanarConfiguration",
        "SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue", "SpecificCharacterSet",
        "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "DataSetTrailingPadding",
    }
)  # fmt: skip
"""Attributes that a change of encoding may rewrite without a change of content."""


_PIXEL_GROUP = 0x7FE0


def differences(first: Dataset, second: Dataset) -> list[str]:
    """Names of the elements that differ, by keyword or tag, but for the pixels; group lengths do not count.

    Elements behind the pixels are in no header; where there are no pixels, what would stand behind them counts as well.
    """
    tags = {tag for tag in (*first.keys(), *second.keys()) if tag.element != 0 and tag.group != _PIXEL_GROUP}
    return sorted(_name(tag) for tag in tags if _differ(first, second, tag))


def classify(differing: list[str], same_pixels: Callable[[], bool]) -> Version:
    """Tell variant, correction and conflict apart. `same_pixels` decodes both, and is asked last."""
    content = [name for name in differing if name not in DEMOGRAPHICS and name not in ENCODING]
    if content or not same_pixels():
        return Version.CONFLICT
    if any(name in DEMOGRAPHICS for name in differing):
        return Version.CORRECTION
    return Version.VARIANT


def _differ(first: Dataset, second: Dataset, tag: Any) -> bool:
    try:
        return _value(first, tag) != _value(second, tag)
    except Exception:  # nested deeper than anybody can look
        return True


def _value(dataset: Dataset, tag: Any) -> object:
    """Values compared as text without padding, so that one peer's rewriting of spaces is no conflict.

    Of what pydicom cannot read, the bytes. Each element of a sequence is asked for by itself: pydicom's own text of a
    broken value says at every level above it what was said below, twice, which takes for ever sixty levels deep.
    """
    try:
        element = dataset.get(tag)
        value = element.value if element is not None else None
        if isinstance(value, Sequence):
            return [_values(item) for item in value]
        if isinstance(value, bytes):
            return value.rstrip(b"\0 ")
        return None if value is None or value == "" else str(value).strip(" \0")
    except Exception:
        return dataset.get_item(tag).value


def _values(item: Dataset) -> dict[Any, object]:
    found = {tag: _value(item, tag) for tag in item.keys() if tag.element != 0}  # noqa: SIM118 - iterating reads it
    return {tag: value for tag, value in found.items() if value is not None}


def _name(tag: Any) -> str:
    return keyword_for_tag(tag) or f"{tag.group:04X},{tag.element:04X}"
