"""Which UIDs that others sent are good enough to be keys (PS3.5 9.1), and which deviations are harmless."""

import re

MAX_LENGTH = 64

TOLERATED = (
    ("leading zeros in a component, as in 1.2.03", "many modalities make components from dates and times"),
    ("a first component above 2", "no collision follows from it"),
    ("a UID without dots", "no collision follows from it"),
    ("padding with spaces or several NULs at the end", "padding is not part of the value"),
)
"""Deviations that are accepted, and why. All else than digits and dots, an empty component and more than 64
characters are refused: such values were made by accident or to hurt."""

_FORM = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_usable_uid(uid: str) -> bool:
    """True if the UID, without its padding, can name an object: see `TOLERATED`."""
    return len(uid) <= MAX_LENGTH and _FORM.fullmatch(uid) is not None
