"""What was made of a series before it was complete: derived instances in a folder of their own, for whoever needs them.

A cache and nothing more: nothing points into it, no row tells of it, and losing it costs time alone. What is found is
believed only if it was made of the very same bytes by the very same means (`Grounds`), and if it is whole.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from dicomnode.derive import DerivedSeries
from dicomnode.domain.instance import Location
from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.images import KnownSlice
from dicomnode.enhance.note import Note
from dicomnode.flow.enhancing.grounds import Grounds
from dicomnode.flow.enhancing.written import Written
from dicomnode.observe import guarded, log
from dicomnode.store.reading import read_bytes
from dicomnode.store.staged import write_container

AHEAD = "ahead"
"""Folder of the caches under the store's root; each is named by the key of its work in the ledger."""

_FORMAT = 1
_NAME = "series"
_READERS = 2

_OWN: set[str] = set()
"""Containers that this process wrote and synced: they need not be read again to be believed."""


@dataclass(frozen=True)
class Kept(KnownSlice):
    """An enhanced slice whose derived instance lies in the cache. `seconds` is what it took to make."""

    contributors: tuple[str, ...]
    written: Written
    location: Location
    seconds: float


@dataclass(frozen=True)
class Fresh:
    """A derived instance to be kept: `key` says what it was made of (`Grounds.key`)."""

    key: str
    written: Written
    contributors: tuple[str, ...]
    figures: tuple[GuardFigure, ...]
    file_bytes: bytes = field(repr=False)
    seconds: float


class MadeAhead:
    """The cache of one piece of work: rounds of instances, each a container and an index beside it."""

    def __init__(self, root: Path, work: str) -> None:
        self.root, self.work, self.name = root, work, f"{AHEAD}/{work}"
        self.kept: dict[str, Kept] = {}
        """By `Grounds.key`."""
        self._notes: dict[tuple[str, str, str], Note] = {}
        """Of sources, by the grounds' digest, SOP instance UID and sha256."""
        self.made: list[str] = []
        """The source of each instance in all rounds, of those that were made twice, too."""
        self._read: set[str] = set()

    @property
    def folder(self) -> Path:
        return self.root / self.name

    def look(self) -> Self:
        """Read the rounds that were added since. What cannot be read is passed over."""
        for path in sorted(self.folder.glob("*.json")):
            if path.stem != _NAME and path.stem not in self._read:
                self._read.add(path.stem)
                self._take(_document(path))
        return self

    def find(self, keys: Sequence[str]) -> list[Kept | None]:
        """What is kept under each of these keys; the bytes that another process wrote are read and found whole."""
        with ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(self._whole, keys))

    def notes_of(self, grounds: Grounds, hashes: Mapping[str, str]) -> dict[str, Note]:
        """What was noted of these sources, given by SOP instance UID and sha256, as far as it was."""
        found = {uid: self._notes.get((grounds.digest, uid, hash)) for uid, hash in hashes.items()}
        return {uid: note for uid, note in found.items() if note is not None}

    def add(self, grounds: Grounds, fresh: Sequence[Fresh], notes: Mapping[tuple[str, str], Note]) -> None:
        """Keep a round, durably; `notes` are of sources by SOP instance UID and sha256.

        Raises StoreFull, StoreFailed and OSError: then nothing of it is kept.
        """
        round = uuid4().hex
        files = [one.file_bytes for one in fresh]
        locations = write_container(self.root, f"{self.name}/{round}.tar", files) if files else []
        document = {
            "format": _FORMAT,
            "grounds": grounds.digest,
            "made": [_entry(one, location) for one, location in zip(fresh, locations, strict=True)],
            "notes": [[*source, note.to_json()] for source, note in notes.items()],
        }
        self._write(round, document)
        _OWN.update(location.container for location in locations)
        self._read.add(round)
        self._take(document)

    def name_series(self, source_uid: str, series: DerivedSeries) -> DerivedSeries:
        """What the derived series is called, by whoever was the first to say so. Raises OSError."""
        if self.series is None:
            self._write(_NAME, {"format": _FORMAT, "source": source_uid, "series": series.to_json()})
        return self.series or series

    @property
    def series(self) -> DerivedSeries | None:
        """What the derived series was called when the first slice was enhanced."""
        try:
            return DerivedSeries.from_json(_document(self.folder / f"{_NAME}.json")["series"])
        except (KeyError, TypeError):
            return None

    def age_seconds(self) -> float:
        """How long ago something was last added."""
        try:
            return time.time() - self.folder.stat().st_mtime
        except OSError:
            return 0.0

    def remove(self) -> None:
        """Give it all up. What others opened or linked stays theirs."""
        _OWN.difference_update({kept.location.container for kept in self.kept.values()})
        shutil.rmtree(self.folder, ignore_errors=True)

    def _whole(self, key: str) -> Kept | None:
        kept = self.kept.get(key)
        if kept is None:
            return None
        try:
            if kept.location.container in _OWN and (self.root / kept.location.container).stat().st_size:
                return kept
            content = read_bytes(self.root, kept.location)
        except (OSError, EOFError):
            return None
        return kept if sha256(content).hexdigest() == kept.written.sha256 else None

    def _take(self, document: Mapping[str, Any]) -> None:
        try:
            for entry in document.get("made", ()):
                kept = _kept(entry)
                self.made.append(kept.sop_uid)
                self.kept.setdefault(entry["key"], kept)
            for uid, hash, note in document.get("notes", ()):
                self._notes.setdefault((document["grounds"], uid, hash), Note.from_json(note))
        except (KeyError, TypeError, ValueError) as error:
            log.warning("made ahead, but cannot be read", folder=self.name, error=guarded(error))

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.folder / f"{name}.draft"
        draft.write_text(json.dumps(document), encoding="utf-8")
        draft.replace(self.folder / f"{name}.json")


def size_of_all(root: Path) -> int:
    """Bytes of all caches."""
    return sum(_size(path) for path in (root / AHEAD).glob("*/*.tar"))


def all_caches(root: Path) -> Iterator[tuple[MadeAhead, str]]:
    """Every cache, and the source series that it is of; "" where that cannot be read."""
    for folder in (root / AHEAD).glob("*"):
        yield MadeAhead(root, folder.name), str(_document(folder / f"{_NAME}.json").get("source", ""))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _document(path: Path) -> dict[str, Any]:
    """Empty where there is none, or none of ours."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) and document.get("format") == _FORMAT else {}


def _entry(fresh: Fresh, location: Location) -> dict[str, Any]:
    return {
        "key": fresh.key,
        "written": vars(fresh.written),
        "location": vars(location),
        "contributors": list(fresh.contributors),
        "figures": [figure.to_json() for figure in fresh.figures],
        "seconds": round(fresh.seconds, 4),
    }


def _kept(entry: Mapping[str, Any]) -> Kept:
    written = Written(**entry["written"])
    return Kept(
        written.source_sop_uid,
        tuple(map(GuardFigure.from_json, entry["figures"])),
        tuple(entry["contributors"]),
        written,
        Location(**entry["location"]),
        entry["seconds"],
    )
