"""How a dicomnode recognises what any dicomnode derived: the loop guard's mark.

The mark lies in the data set, because a PACS rewrites file meta information. It is written three times, so that one
rewriting peer cannot take it away: as an item of ContributingEquipmentSequence, as InstanceCreatorUID, and, unless
the rule keeps the scanner's equipment, as the Manufacturer of the General Equipment module.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from dicomnode.domain.facts import SeriesFacts

MANUFACTURER = "dicomnode"
MODEL_NAME = "dicomnode"

INSTANCE_CREATOR_UID = "1.2.826.0.1.3680043.8.498.70917215303520116.1"
"""InstanceCreatorUID of everything a dicomnode derives, whichever site runs it."""

MARKS = {
    "InstanceCreatorUID": INSTANCE_CREATOR_UID,
    "Manufacturer": MANUFACTURER,
    "ContributingEquipmentSequence.Manufacturer": MANUFACTURER,
}
"""Element name as in `SeriesFacts` -> the value that gives a dicomnode away. One is enough; the dearest comes last."""


class Header(Protocol):
    """What is asked of a data set: pydicom's `Dataset` fits, and so does a dict of keywords."""

    def get(self, keyword: str, /) -> Any:
        """The element's value, or None. A sequence's value is an iterable of headers."""


def is_derived_by_dicomnode(header: Header) -> bool:
    """Whether a dicomnode derived this instance, or something it was made from."""
    return any(_holds(header, name.split("."), value) for name, value in MARKS.items())


def series_is_derived_by_dicomnode(facts: SeriesFacts) -> bool:
    """The same question asked of stored facts: true if any instance of the series carries a mark."""
    return any(_same(found, value) for name, value in MARKS.items() for found in facts.components(name))


def _holds(header: Header, path: list[str], value: str) -> bool:
    found = header.get(path[0])
    if len(path) == 1:
        return _same(found, value)
    items = found if isinstance(found, Iterable) and not isinstance(found, str | bytes) else ()
    return any(_holds(item, path[1:], value) for item in items)


def _same(found: object, value: str) -> bool:
    """Peers pad, and some change the case."""
    return isinstance(found, str) and found.strip(" \0").casefold() == value.casefold()
