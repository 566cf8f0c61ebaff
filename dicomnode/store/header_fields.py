"""Single values out of a header that may hold anything: what the index keeps in columns."""

from pydicom import Dataset, Sequence

MAX_TEXT = 320
"""Longer than any text VR that is indexed (PN: five groups of 64); what is longer is cut."""


def text(header: Dataset, keyword: str) -> str:
    """The element as one line of text; empty when absent or unreadable.

    Nor is a sequence text: pydicom's text of one that is broken doubles at every level, sixty levels deep for ever.
    """
    try:
        value = header.get(keyword)
    except Exception:  # pydicom raises what the bytes provoke; a broken element is an absent one here
        return ""
    return "" if value is None or isinstance(value, Sequence) else str(value).replace("\0", "").strip()[:MAX_TEXT]


def integer(header: Dataset, keyword: str) -> int | None:
    """The element as a whole number that fits a column; None when it is not one."""
    try:
        number = int(header.get(keyword))
    except Exception:
        return None
    return number if abs(number) < 1 << 31 else None


def is_image(header: Dataset) -> bool:
    """Whether the instance has pixels (C.7.6.3): reports, documents and key objects have none."""
    return bool(integer(header, "Rows")) and bool(integer(header, "Columns"))
