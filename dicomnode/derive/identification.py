"""Who the derived instance is: UIDs, series, dates, image type, and how far its content may be trusted."""

import re
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from dicomnode.derive.derivation import Derivation
from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.sop_classes import DIGITAL_X_RAY, MG
from dicomnode.domain.provenance import INSTANCE_CREATOR_UID
from dicomnode.domain.uid import derived_uid

_UID = re.compile(r"[!-\[\]-~]{1,64}")
"""A name that can be referenced. Careless tools put letters into UIDs; a backslash would make two of one."""

COMMENTS_LENGTH = 10240
"""ImageComments is a Long Text (PS3.5 6.2)."""


def identification(source: Dataset, derivation: Derivation, sop_class: str) -> dict[str, Any]:
    """Series and times, C.7.3.1, C.7.6.1 and C.12.1. Raises CannotDerive where the source's cannot be named."""
    for keyword in ("SeriesInstanceUID", "StudyInstanceUID"):
        _require_name(source, keyword)
    series = derivation.series
    date, time = series.at_offset(source.get("TimezoneOffsetFromUTC"))
    new = {
        "SOPClassUID": sop_class,
        "SeriesInstanceUID": series.series_uid,
        "SeriesNumber": series.series_number,
        "SeriesDescription": series.series_description,
        "InstanceCreatorUID": INSTANCE_CREATOR_UID,
        "ImageType": image_type(source, derivation, sop_class),
        "ContentQualification": derivation.profile.content_qualification,
    }
    new |= dict.fromkeys(("SeriesDate", "ContentDate", "InstanceCreationDate"), date)
    new |= dict.fromkeys(("SeriesTime", "ContentTime", "InstanceCreationTime"), time)
    if derivation.synthetic:
        new["SyntheticData"] = "YES"
    if derivation.flag_reason:
        new["ImageComments"] = _comments(source, derivation.flag_reason)
    return new


def instance_uid(source: Dataset, derivation: Derivation) -> str:
    """SOPInstanceUID of what is derived from `source`. Raises CannotDerive where that cannot be named."""
    _require_name(source, "SOPInstanceUID")
    return derived_uid("sop", str(source.SOPInstanceUID), derivation.recipe, generation=derivation.generation)


def _require_name(source: Dataset, keyword: str) -> None:
    if not _UID.fullmatch(str(source.get(keyword) or "")):
        raise CannotDerive(f"the source has no {keyword}, or one that cannot be referenced")


def image_type(source: Dataset, derivation: Derivation, sop_class: str) -> list[str]:
    """ImageType of the derived instance (C.7.6.1.1.2).

    Value 3 and on stay: for CT value 3 is AXIAL (C.8.2.1.1.1), for US value 4 the bit map of modes (C.8.5.6.1.1).
    DX needs a zero length value 3 (C.8.11.3.1.1), MG the source's or a zero length one.
    """
    rest = image_type_values(source)[2:]
    if sop_class in DIGITAL_X_RAY:
        rest = [rest[0] if rest and sop_class == MG else "", *rest[1:]]
    return ["DERIVED", derivation.profile.image_type_value_2, *rest]


def image_type_values(source: Dataset) -> list[str]:
    """The source's ImageType without padding; empty where it has none."""
    value = source.get("ImageType") or []
    values = value if isinstance(value, MultiValue | list) else [value]
    return [str(one).strip() for one in values]


def _comments(source: Dataset, reason: str) -> str:
    plain = reason.encode("ascii", "replace").decode()
    said = f"AI-processed, not original: {plain}"
    before = str(source.get("ImageComments") or "").strip()
    return (f"{before}; {said}" if before else said)[-COMMENTS_LENGTH:]
