"""Whether weights are those of their model card. A file is hashed once, and again when it has changed."""

import threading
from dataclasses import dataclass
from pathlib import Path

from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.registry import Entry
from dicomnode.enhance.weights import verify

_Stamp = tuple[Path, int, int, str]
"""File, modification time in ns, size in bytes, and the SHA-256 that it should have."""

_known: dict[_Stamp, str] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class WeightsState:
    """Of a pipeline with weights: their file's name, the SHA-256 of their card, and why they are not used, if so."""

    file: str
    sha256: str
    reason: str

    @property
    def verified(self) -> bool:
        return not self.reason


def state_of(entry: Entry) -> WeightsState | None:
    """The weights of a pipeline, verified; None for one that has none."""
    if entry.pipeline is None or not entry.pipeline.weights:
        return None
    sha256 = entry.card.weights.sha256 if entry.card else ""
    return WeightsState(str(entry.pipeline.weights), sha256, entry.error or _reason(entry))


def _reason(entry: Entry) -> str:
    """One at a time hashes: ten people who open the page at once do not read a gigabyte ten times."""
    with _lock:
        stamp = _stamp(entry)
        if stamp is None or stamp not in _known:
            reason = _verified(entry)
            if stamp is None:
                return reason
            for old in [each for each in _known if each[0] == stamp[0]]:
                del _known[old]
            _known[stamp] = reason
        return _known[stamp]


def _stamp(entry: Entry) -> _Stamp | None:
    if entry.weights is None or entry.card is None:
        return None
    try:
        status = entry.weights.stat()
    except OSError:
        return None
    return entry.weights, status.st_mtime_ns, status.st_size, entry.card.weights.sha256


def _verified(entry: Entry) -> str:
    try:
        verify(entry)
    except EnhanceError as error:
        return str(error)
    return ""
