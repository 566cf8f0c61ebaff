"""What the index keeps of a header in columns: from a scan where that is exact, else from pydicom's reading."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom import Dataset

from dicomnode.domain.provenance import INSTANCE_CREATOR_UID, MANUFACTURER, MARKS, is_derived_by_dicomnode
from dicomnode.store import scan
from dicomnode.store.header_fields import MAX_TEXT, integer, is_image, text


@dataclass(frozen=True, slots=True)
class Fields:
    """Columns of an instance, its series and its study; texts are empty and numbers None where unreadable."""

    instance_number: int | None
    acquisition_number: int | None
    images_in_acquisition: int | None
    is_image: bool
    derived_by_node: bool
    modality: str
    series_number: str
    series_description: str
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    study_description: str


def of_header(header: Dataset) -> Fields:
    """The fields of a header that pydicom has read. Never raises for what is in it."""
    return Fields(
        instance_number=integer(header, "InstanceNumber"),
        acquisition_number=integer(header, "AcquisitionNumber"),
        images_in_acquisition=integer(header, "ImagesInAcquisition"),
        is_image=is_image(header),
        derived_by_node=_is_derived(header),
        modality=text(header, "Modality"),
        series_number=text(header, "SeriesNumber"),
        series_description=text(header, "SeriesDescription"),
        patient_id=text(header, "PatientID"),
        patient_name=text(header, "PatientName"),
        accession_number=text(header, "AccessionNumber"),
        study_date=text(header, "StudyDate"),
        study_description=text(header, "StudyDescription"),
    )


def of_scanned(scanned: scan.Scanned) -> Fields | None:
    """The same fields of a data set that was scanned; None where its values need pydicom."""
    values = scanned.values
    try:
        codec = _codec(values)
        return Fields(
            instance_number=_whole(values, scan.INSTANCE_NUMBER),
            acquisition_number=_whole(values, scan.ACQUISITION_NUMBER),
            images_in_acquisition=_whole(values, scan.IMAGES_IN_ACQUISITION),
            is_image=_is_positive(values, scan.ROWS) and _is_positive(values, scan.COLUMNS),
            derived_by_node=_carries_mark(values, codec),
            modality=_text(values, scan.MODALITY, _DEFAULT),
            series_number=_digits(values, scan.SERIES_NUMBER),
            series_description=_text(values, scan.SERIES_DESCRIPTION, codec),
            patient_id=_text(values, scan.PATIENT_ID, codec),
            patient_name=_person(values, scan.PATIENT_NAME, codec),
            accession_number=_text(values, scan.ACCESSION_NUMBER, codec),
            study_date=_text(values, scan.STUDY_DATE, _DEFAULT),
            study_description=_text(values, scan.STUDY_DESCRIPTION, codec),
        )
    except (_Unusual, UnicodeDecodeError):
        return None


class _Unusual(Exception):
    pass


_DEFAULT = "iso8859"
"""What pydicom reads the default repertoire with; DICOM's own is ASCII (PS3.5 6.1.2.1)."""

_CODECS = {
    "": _DEFAULT,
    "ISO_IR 6": _DEFAULT,
    "ISO 2022 IR 6": _DEFAULT,
    "ISO_IR 100": "latin_1",
    "ISO 2022 IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO 2022 IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso_ir_126",
    "ISO_IR 127": "iso_ir_127",
    "ISO_IR 138": "iso_ir_138",
    "ISO_IR 144": "iso_ir_144",
    "ISO 2022 IR 144": "iso_ir_144",
    "ISO_IR 148": "iso_ir_148",
    "ISO_IR 192": "utf_8",
}
"""Character sets (PS3.3 C.12.1.1.2) that a text without escape sequences is read in, where they are the first value."""

_ESCAPE = 0x1B
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")


def _codec(values: Mapping[int, bytes]) -> str:
    first, *_ = scan.character_sets(values.get(scan.SPECIFIC_CHARACTER_SET, b""))
    if first not in _CODECS:
        raise _Unusual
    return _CODECS[first]


def _line(values: Mapping[int, bytes], tag: int, codec: str) -> str:
    """A single value of text, its padding left on."""
    value = values.get(tag, b"")
    if b"\\" in value or _ESCAPE in value:
        raise _Unusual
    return value.decode(codec)


def _text(values: Mapping[int, bytes], tag: int, codec: str) -> str:
    return _line(values, tag, codec).replace("\0", "").strip()[:MAX_TEXT]


def _person(values: Mapping[int, bytes], tag: int, codec: str) -> str:
    name = _text(values, tag, codec)
    if "=" in name:  # pydicom drops empty groups of components
        raise _Unusual
    return name


def _digits(values: Mapping[int, bytes], tag: int) -> str:
    digits = _line(values, tag, "latin-1").rstrip(" \0").strip(" ")
    if digits and _WHOLE.fullmatch(digits) is None:
        raise _Unusual
    return digits


def _whole(values: Mapping[int, bytes], tag: int) -> int | None:
    digits = _digits(values, tag)
    return int(digits) if digits else None


def _is_positive(values: Mapping[int, bytes], tag: int) -> bool:
    value = values.get(tag, b"")
    if len(value) not in (0, 2):
        raise _Unusual
    return any(value)


def _carries_mark(values: Mapping[int, bytes], codec: str) -> bool:
    """Whether it carries a mark of `domain.provenance`; where items of a sequence might, pydicom is asked."""
    manufacturer = _line(values, scan.MANUFACTURER, codec).strip(" \0").casefold()
    creator = _line(values, scan.INSTANCE_CREATOR_UID, _DEFAULT).strip(" \0")
    if manufacturer == MANUFACTURER.casefold() or creator == INSTANCE_CREATOR_UID:
        return True
    equipment = values.get(scan.CONTRIBUTING_EQUIPMENT_SEQUENCE, b"")
    if MANUFACTURER.encode() in equipment.lower() or _ESCAPE in equipment:
        raise _Unusual
    return False


def _is_derived(header: Dataset) -> bool:
    """A mark that cannot be read is none: each is looked for by itself, so that it hides no other."""
    return any(_holds(header, name.partition(".")[0]) for name in MARKS)


def _holds(header: Dataset, keyword: str) -> bool:
    try:
        return is_derived_by_dicomnode({keyword: header.get(keyword)})
    except Exception:  # pydicom raises what the bytes provoke
        return False
