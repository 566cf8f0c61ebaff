"""The values that the writer has to understand must be readable: scanners and careless tools leave broken ones."""

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.sequence import Sequence

from dicomnode.derive.changes import APPENDED, SCANNER_EQUIPMENT, WRITTEN
from dicomnode.derive.elements import tag_of
from dicomnode.derive.errors import CannotDerive

_ASKED = (
    *("TimezoneOffsetFromUTC", "Modality", "ImageOrientationPatient", "NumberOfFrames", "StudyInstanceUID"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence", "VOILUTSequence", "SpecificCharacterSet"),
    *("StudyID", "AccessionNumber", "PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
)
_KEYWORDS = dict.fromkeys([*_ASKED, *WRITTEN, *APPENDED, *SCANNER_EQUIPMENT])
_TAGS = {tag_of(keyword): keyword for keyword in _KEYWORDS if keyword != "PixelData"}
_SEQUENCES = frozenset(tag for tag in _TAGS if dictionary_VR(tag) == "SQ")


def require_readable(source: Dataset) -> None:
    """Raise CannotDerive, naming the attribute, for a value that cannot be read. Others are copied unread."""
    for tag, keyword in _TAGS.items():
        if tag not in source:
            continue
        try:
            value = source[tag].value
            if tag in _SEQUENCES:
                _read_items(value)
        except Exception as error:
            raise CannotDerive(f"{keyword} of the source cannot be read: {error}") from error


def _read_items(value: object) -> None:
    if not isinstance(value, Sequence) and value is not None:
        raise TypeError("it is no sequence")
    for item in value or ():
        for _ in item.iterall():
            pass
