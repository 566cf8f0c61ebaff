"""Anchors: how far the chain had come, noted outside the database.

Who may write the database may cut the log's end off, or change an event and seal everything behind it anew: the chain
then holds in itself. It no longer agrees with what was noted elsewhere. Each node appends to a file of its own, one
JSON object a line: `line` (1, 2, ...), `log` (the hash of the chain's first link: which log this is), `seq` and `hash`
(a link), `event` (which event it seals), `at` (the node's clock) and `node`.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

SUFFIX = ".anchors"
_TAIL = 4096
"""Bytes; more than a line has."""
_WARNINGS = 5
"""Of each file; a file that was cut to pieces need not be listed piece by piece."""


@dataclass(frozen=True)
class Anchor:
    """One line: link `seq` of the chain had this hash. `at` is ISO 8601."""

    line: int
    log: str
    seq: int
    hash: str
    event: int
    at: str
    node: str

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.at)


def parse(text: bytes) -> Anchor:
    """The anchor of a line. Raises ValueError for one that is none."""
    try:
        found = Anchor(**json.loads(text))
    except (TypeError, UnicodeDecodeError) as error:
        raise ValueError("no anchor") from error
    numbers, words = (found.line, found.seq, found.event), (found.log, found.hash, found.at, found.node)
    if not all(type(each) is int for each in numbers) or not all(isinstance(each, str) for each in words):
        raise ValueError("no anchor")
    if found.time.tzinfo is None:
        raise ValueError("no anchor")
    return found


class AnchorFile:
    """The file that one node appends to. Raises OSError where the disk does not let it."""

    def __init__(self, folder: Path, node: str) -> None:
        self.path = folder / f"{node}{SUFFIX}"
        self.node = node

    def last(self) -> Anchor | None:
        """The last line that can be read, for there may be half of one behind it."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
                lines = file.read().splitlines()
        except FileNotFoundError:
            return None
        for line in reversed(lines):
            try:
                return parse(line)
            except ValueError:
                continue
        return None

    def append(self, log: str, seq: int, hash: str, event: int, at: datetime) -> Anchor:
        """Note a link; returns once that is on the disk."""
        before = self.last()
        anchor = Anchor(before.line + 1 if before else 1, log, seq, hash, event, at.isoformat(), self.node)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        with self.path.open("ab") as file:
            file.write(self._line_break() + json.dumps(asdict(anchor), separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fdatasync(file.fileno())
        if is_new:
            _sync_folder(self.path.parent)
        return anchor

    def _line_break(self) -> bytes:
        """Before what is written next: the last line may have been cut short by a power cut."""
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return b""
            file.seek(-1, os.SEEK_END)
            return b"" if file.read(1) == b"\n" else b"\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass
class AnchorReader:
    """A file as it is when this is made: what a node appends meanwhile is of later links than are looked at.

    `warnings` fills while it is read.
    """

    path: Path
    lines: int = 0
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._size = self.path.stat().st_size

    def __iter__(self) -> Iterator[Anchor]:
        """Its anchors as they stand, in constant memory."""
        last = Anchor(0, "", 0, "", 0, "", "")
        with self.path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                if file.tell() > self._size:
                    return
                if text == b"\n":
                    continue
                try:
                    anchor = parse(text)
                except ValueError:
                    self._warn(f"line {number} cannot be read")
                    continue
                if anchor.line != last.line + 1:
                    self._warn(f"anchor {anchor.line} follows anchor {last.line}: lines were taken out")
                if anchor.seq < last.seq:
                    self._warn(f"anchor {anchor.line} stands at link {anchor.seq}, the one before it at {last.seq}")
                self.lines, last = self.lines + 1, anchor
                yield anchor

    def _warn(self, words: str) -> None:
        if len(self.warnings) < _WARNINGS:
            self.warnings.append(f"{self.path.name}: {words}")


def readers(folder: Path) -> list[AnchorReader]:
    """A reader for each file in `folder`, by name; none where there is no such folder. Raises OSError."""
    return [AnchorReader(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
