"""A rejection note: the Key Object Selection document that tells a PACS to hide a derived series (IHE Radiology IOCM).

One for a derived series and a title, and deterministic as all that is derived: its UIDs follow from both.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from highdicom import ContributingEquipment
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from dicomnode import __version__
from dicomnode.derive.codes import PROCESSING_EQUIPMENT
from dicomnode.derive.part10 import part10
from dicomnode.domain.provenance import INSTANCE_CREATOR_UID, MANUFACTURER, MODEL_NAME
from dicomnode.domain.rejection import TITLES, Ground
from dicomnode.domain.uid import rejection_uid

TRANSFER_SYNTAX = str(ExplicitVRLittleEndian)
SOP_CLASS = str(KeyObjectSelectionDocumentStorage)

_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyDescription")


@dataclass(frozen=True)
class RejectedSeries:
    """A derived series that is to be hidden: `header` of one of its instances, or as much of it as is still known.

    `instances` are (SOP Class UID, SOP Instance UID) pairs; `key` is the enhancement's.
    """

    key: str
    series_uid: str
    header: Dataset
    instances: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class RejectionNote:
    """A complete Part 10 file, and what it is called."""

    sop_uid: str
    file: bytes


def rejection_note(series: RejectedSeries, ground: Ground, ae_title: str, at: datetime) -> RejectionNote:
    """The note that rejects every instance of the series under the ground's title, dated `at` (UTC).

    Raises ValueError for a series without instances.
    """
    title = CodedConcept(ground.code, "DCM", TITLES[ground.code])
    evidence = [_evidence(series, *instance) for instance in series.instances]
    document = KeyObjectSelectionDocument(
        evidence=evidence,
        content=KeyObjectSelection(title, evidence, description=ground.reason),
        series_instance_uid=rejection_uid("series", series.key, ground.code),
        series_number=_series_number(series.header),
        sop_instance_uid=rejection_uid("sop", series.key, ground.code),
        instance_number=1,
        manufacturer=MANUFACTURER,
        transfer_syntax_uid=TRANSFER_SYNTAX,
        contributing_equipment=[_equipment(ae_title, at, ground.reason)],
        specific_character_set=series.header.get("SpecificCharacterSet") or "ISO_IR 192",
    )
    _date(document, series.header, at)
    document.InstanceCreatorUID = INSTANCE_CREATOR_UID
    document.ManufacturerModelName, document.SoftwareVersions = MODEL_NAME, __version__
    document.SeriesDescription = TITLES[ground.code]
    sop_uid = str(document.SOPInstanceUID)
    return RejectionNote(sop_uid, part10(SOP_CLASS, sop_uid, ae_title, _encoded(document)))


def _evidence(series: RejectedSeries, sop_class_uid: str, sop_uid: str) -> Dataset:
    """One instance, as far as a reference to it and the patient module ask for it."""
    found = Dataset()
    for keyword in (*_PATIENT, *_STUDY):
        setattr(found, keyword, series.header.get(keyword))
    found.StudyInstanceUID = series.header.StudyInstanceUID
    found.SeriesInstanceUID, found.SOPClassUID, found.SOPInstanceUID = series.series_uid, sop_class_uid, sop_uid
    found.Rows = found.Columns = 1  # what tells highdicom that it is an image
    return found


def _equipment(ae_title: str, at: datetime, reason: str) -> ContributingEquipment:
    return ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=PROCESSING_EQUIPMENT,
        manufacturer_model_name=MODEL_NAME,
        software_versions=__version__,
        station_name=ae_title,
        contribution_datetime=at,
        contribution_description=reason[:1024],
    )


def _date(document: Dataset, header: Dataset, at: datetime) -> None:
    """In the offset that the series names; else in the zone of this machine, and without one (C.12.1.1.8)."""
    offset, zone = str(header.get("TimezoneOffsetFromUTC") or "").strip(), None
    with contextlib.suppress(ValueError):
        zone = datetime.strptime(offset, "%z").tzinfo
        document.TimezoneOffsetFromUTC = offset
    moment = at.astimezone(zone)
    for module in ("Content", "Series", "InstanceCreation"):
        setattr(document, f"{module}Date", moment.strftime("%Y%m%d"))
        setattr(document, f"{module}Time", moment.strftime("%H%M%S"))


def _series_number(header: Dataset) -> int:
    try:
        return max(1, int(header.get("SeriesNumber") or 1))
    except (TypeError, ValueError):
        return 1


def _encoded(document: Dataset) -> bytes:
    """The data set alone, in explicit VR little endian."""
    buffer = BytesIO()
    plain = Dataset({tag: element for tag, element in document.items() if tag.group > 2})
    plain.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()
