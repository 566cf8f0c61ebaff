"""Lists of what belongs to a series: by whom, and what a Key Object Selection document lists."""

from typing import Any

from pydicom import Dataset, Sequence
from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicomnode.domain.usable_uid import is_usable_uid

COMPLETE_TITLES = frozenset({"113030", "113031", "113032", "113033", "113034", "113035"})
"""Document titles (DCM, CID 7010) that claim to be complete: Manifest, Complete Study Content, Complete Acquisition
Content, and the signed form of each. Other titles ("Of Interest") select from a series and prove nothing."""

COMMITMENT_REQUEST = "storage commitment request"
"""With its Transaction UID behind it: the source of a list that came by N-ACTION."""

AVAILABILITY = "instance availability notification"
"""With its SOP Instance UID behind it: the source of a list that came by N-CREATE."""

BIT_BY_BIT = (COMMITMENT_REQUEST, AVAILABILITY)
"""Lists that do not say of themselves that they are complete: many come for one series, together they may be."""


def described(source: str) -> str:
    """What a list's source is called: what stands before its UID, or a key object document, which has its UID alone."""
    return source.rpartition(" ")[0] or "key object document"


def manifest_of(header: Dataset) -> dict[str, set[str]] | None:
    """The instances that a manifest lists: SOP Instance UIDs by Series Instance UID.

    None if `header` is no Key Object Selection document, if its title does not claim completeness, or if it lists
    nothing readable. Reads CurrentRequestedProcedureEvidenceSequence (0040,A375), PS3.3 C.17.6.2; never raises for
    broken content.
    """
    if _text(header, "SOPClassUID") != KeyObjectSelectionDocumentStorage:
        return None
    return listed_in(header) or None if titles_of(header) & COMPLETE_TITLES else None


def titles_of(header: Dataset) -> set[str]:
    """Code values of a document's title: one, unless it is broken."""
    return {_text(code, "CodeValue") for code in _items(header, "ConceptNameCodeSequence")}


def listed_in(header: Dataset) -> dict[str, set[str]]:
    """What a document's evidence names: SOP Instance UIDs by Series Instance UID; what is no UID is left out.

    Nothing is stored under such a name (PS3.5 9.1).
    """
    listed: dict[str, set[str]] = {}
    for study in _items(header, "CurrentRequestedProcedureEvidenceSequence"):
        for series in _items(study, "ReferencedSeriesSequence"):
            references = _items(series, "ReferencedSOPSequence")
            named = {_text(reference, "ReferencedSOPInstanceUID") for reference in references}
            uids, series_uid = set(filter(is_usable_uid, named)), _text(series, "SeriesInstanceUID")
            if uids and is_usable_uid(series_uid):
                listed.setdefault(series_uid, set()).update(uids)
    return listed


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    value = _value(dataset, keyword)
    return [item for item in value if isinstance(item, Dataset)] if isinstance(value, Sequence) else []


def _text(dataset: Dataset, keyword: str) -> str:
    value = _value(dataset, keyword)
    return value.strip() if isinstance(value, str) else ""


def _value(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except Exception:  # whatever pydicom makes of a broken element, it lists nothing
        return None
