"""What an answer of a destination means, and what to do about it, for who reads it at night."""

from typing import NamedTuple

from dicomnode.deliver.outcome import DUPLICATE, STORE_STATUSES, from_status


class Words(NamedTuple):
    """`code` in hexadecimal, empty where no response came; what it means, and what to do: empty for nothing.

    `more`: what the node added, such as that it transcoded the instance.
    """

    code: str
    means: str
    todo: str
    more: str = ""


class _Advice(NamedTuple):
    first: int
    last: int
    todo: str


_ADVICE = (
    _Advice(0xA700, 0xA7FF, "Its administrator has to make room. The node tries again by itself."),
    _Advice(0xA900, 0xA9FF, "Its log says which attribute it misses. Mend that there, or at the modality; then retry."),
    _Advice(
        0xB000, 0xB0FF, "It is stored. Ask its administrator which attributes it changes, and whether that matters."
    ),
    _Advice(0xC000, 0xCFFF, "Its log says what it stumbled over. Mend it there, then retry; or re-route it."),
    _Advice(
        DUPLICATE,
        DUPLICATE,
        "It has this instance: nothing is lost. Cancel the delivery, or delete it there and retry.",
    ),
    _Advice(0x0117, 0x0117, "The UID came from the modality: see what wrote it. A retry changes nothing."),
    _Advice(0x0122, 0x0122, "Probe the destination; its administrator has to allow the SOP class. Then retry."),
    _Advice(0x0124, 0x0124, "Its administrator has to allow this node's AE title to store. Then retry."),
    _Advice(0x0210, 0x0212, "A fault in how it speaks DICOM: retry; if it comes back, tell its vendor the status."),
)
_UNKNOWN = "A status of its own: its conformance statement or its log says what it means. Then retry, or re-route."
_NEVER_ASKED = "It was not offered, or could not be: the reason says why. A probe tells what the destination takes."


def words_of(status: int | None, detail: str = "") -> Words:
    """Of a C-STORE response status (PS3.4 B.2.3, PS3.7 Annex C); None: no response, `detail` says why."""
    if status is None:
        return Words("", detail or "not answered yet", _NEVER_ASKED if detail else "")
    code = f"{status:04X}"
    means = next(
        (row.words for row in STORE_STATUSES if row.first <= status <= row.last), "a status DICOM does not know"
    )
    todo = next((row.todo for row in _ADVICE if row.first <= status <= row.last), "" if status == 0 else _UNKNOWN)
    return Words(code, means, todo, detail.removeprefix(from_status(status).detail).lstrip("; "))
