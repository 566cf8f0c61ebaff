"""The fingerprint of bytes where they lie: what `Instance.sha256` and `Output.sha256` are held against."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from dicomnode.domain.instance import Location

_CHUNK = 1 << 20
_HEAD = 144
"""Preamble, DICM and (0002,0000), whose value is the number of bytes that follow it up to the data set (PS3.10 7.1)."""


def pieces(root: Path, location: Location) -> Iterator[bytes]:
    """The bytes of a stored file, piece by piece. Raises OSError; EOFError if the container ends too early."""
    with (root / location.container).open("rb", buffering=0) as file:
        position, end = location.offset, location.offset + location.length
        while position < end:
            piece = os.pread(file.fileno(), min(_CHUNK, end - position), position)
            if not piece:
                raise EOFError(f"{location.container} ends before byte {end}")
            yield piece
            position += len(piece)


class Fingerprint:
    """Takes a stored file piece by piece. `transfer_syntax_uid` of a received one, whose file meta does not count.

    A derived file (no transfer syntax given) counts whole, as `derive` wrote it.
    """

    def __init__(self, transfer_syntax_uid: str | None) -> None:
        self._syntax = transfer_syntax_uid
        self._digest = hashlib.sha256()
        self._head = b""
        self._skip: int | None = 0 if transfer_syntax_uid is None else None

    def add(self, piece: bytes) -> None:
        """The next bytes of the file."""
        if self._skip is None:
            self._head += piece
            if len(self._head) < _HEAD:
                return
            self._skip = _HEAD + int.from_bytes(self._head[_HEAD - 4 : _HEAD], "little")
            piece, self._head = self._head, b""
        self._digest.update(piece[self._skip :])
        self._skip = max(self._skip - len(piece), 0)

    def hex(self) -> str:
        """SHA-256 of what was taken, as the rows have it."""
        digest = self._digest.copy()
        digest.update((self._syntax or "").encode())
        return digest.hexdigest()


def fingerprint_at(root: Path, location: Location, transfer_syntax_uid: str | None) -> str:
    """The fingerprint of one stored file. Raises OSError; EOFError if the container ends too early."""
    fingerprint = Fingerprint(transfer_syntax_uid)
    for piece in pieces(root, location):
        fingerprint.add(piece)
    return fingerprint.hex()
