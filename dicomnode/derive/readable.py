"""The values that the writer has to understand must be readable: scanners and careless tools leave broken ones."""

from collections.abc import Set

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.sequence import Sequence

from dicomnode.derive.changes import APPENDED, SCANNER_EQUIPMENT, WRITTEN
from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.tags import tag_of

_ASKED = (
    *("TimezoneOffsetFromUTC", "Modality", "ImageOrientationPatient", "NumberOfFrames", "StudyInstanceUID"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence", "VOILUTSequence", "SpecificCharacterSet"),
    *("StudyID", "AccessionNumber", "PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
)
_KEYWORDS = dict.fromkeys([*_ASKED, *WRITTEN, *APPENDED, *SCANNER_EQUIPMENT])
_TAGS = {tag_of(keyword): keyword for keyword in _KEYWORDS if keyword != "PixelData"}
UNDERSTOOD = frozenset(_TAGS)
"""Tags of the values that the writer reads. All others are copied unread."""

_SEQUENCES = frozenset(tag for tag in _TAGS if dictionary_VR(tag) == "SQ")


def require_readable(source: Dataset, tags: Set[int] = UNDERSTOOD) -> None:
    """Raise CannotDerive, naming the attribute, for one of these values that cannot be read."""
    for tag in sorted(tags & source.keys()):
        try:
            value = source[tag].value
            if tag in _SEQUENCES:
                _read_items(value)
            elif isinstance(value, Sequence):  # its text, were it asked for, may take for ever
                raise TypeError("it is a sequence")
        except Exception as error:
            raise CannotDerive(f"{_TAGS[tag]} of the source cannot be read: {error}") from error


def _read_items(value: object) -> None:
    if not isinstance(value, Sequence) and value is not None:
        raise TypeError("it is no sequence")
    for item in value or ():
        for _ in item.iterall():
            pass
