"""Reading a container from front to back, resuming where the last reading ended, while its writer still appends."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomnode.domain.instance import Location, Receipt
from dicomnode.domain.storable import storable, storable_text
from dicomnode.store import tar

_CHUNK = 1 << 20
_MAX_DOCUMENT_BYTES = 8 << 20
"""Receipts and most events are hundreds of bytes; a list of instances has as many megabytes as its message, four at
most. A larger one is damage, and is not loaded."""


@dataclass(frozen=True)
class InstanceMember:
    """A received instance with its receipt. `next_offset` is where the next reading may resume."""

    location: Location
    receipt: Receipt
    next_offset: int


@dataclass(frozen=True)
class EventMember:
    """An event that a receiving process noted."""

    event: dict[str, Any]
    next_offset: int


@dataclass(frozen=True)
class FileMember:
    """A Part 10 file without a receipt, in a container that was written in one go."""

    location: Location
    next_offset: int


@dataclass(frozen=True)
class DamagedMember:
    """Bytes that are not what was written; reading goes on behind them. `reason` is a sentence's end."""

    location: Location
    reason: str
    next_offset: int


Member = InstanceMember | EventMember | FileMember | DamagedMember


def members(root: Path, container: str, offset: int = 0, *, verify: bool = True) -> Iterator[Member]:
    """The complete members of `root/container` from `offset`: 0, or a `next_offset` seen before.

    Syncs the file first and looks no further than its size of that moment: an index must not outlive what it points
    to, and its writer may not have synced the last member yet. Stops without complaint at the end, at a torn tail,
    at an instance that still streams in, and at one whose receipt is not there yet. `verify` holds every data set
    against the sha256 of its receipt; a mismatch is a DamagedMember. Raises OSError.
    """
    with (root / container).open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if not any(os.pread(file.fileno(), tar.BLOCK, offset)):
            return  # an instance that still streams in is not worth a sync, which would hold up its writer
        os.fdatasync(file.fileno())
        reader = _Reader(file.fileno(), container, size, verify)
        while (member := reader.member_at(offset)) is not None:
            yield member
            offset = member.next_offset


class _Reader:
    def __init__(self, descriptor: int, container: str, size: int, verify: bool) -> None:
        self._descriptor = descriptor
        self._container = container
        self._size = size
        self._verify = verify

    def member_at(self, offset: int) -> Member | None:
        member = self._look(offset)
        if isinstance(member, DamagedMember):
            # A writer that took back a torn write may have been caught between the two: look once more.
            member = self._look(offset)
        return member

    def _look(self, offset: int) -> Member | None:
        block = os.pread(self._descriptor, tar.BLOCK, offset)
        if len(block) < tar.BLOCK or offset + tar.BLOCK > self._size or not any(block):
            return None
        header = tar.unpack(block)
        if header is None:
            return self._damage(offset, "its header cannot be read")
        begin = offset + tar.BLOCK
        end = begin + tar.padded(header.size)
        if end > self._size:
            return None
        location = Location(self._container, begin, header.size)
        if header.name.endswith(".event"):
            event = self._document(begin, header.size)
            return (
                self._damage(offset, "it is not a JSON object") if event is None else EventMember(storable(event), end)
            )
        if header.name.endswith(".dcm"):
            return self._instance(location, header.name.removesuffix(".dcm"), end)
        return self._damage(offset, "its name is not one that a dicomnode writes")

    def _instance(self, location: Location, number: str, end: int) -> Member | None:
        """What stands behind the Part 10 file decides: its receipt, another file, or nothing yet."""
        block = os.pread(self._descriptor, tar.BLOCK, end)
        header = tar.unpack(block)
        if header is None:
            torn = len(block) < tar.BLOCK or end + tar.BLOCK > self._size
            return None if torn else self._without_receipt(location, end, any(block))
        if header.name != f"{number}.receipt":
            return FileMember(location, end)
        next_offset = end + tar.BLOCK + tar.padded(header.size)
        if next_offset > self._size:
            return None
        receipt = _receipt(self._document(end + tar.BLOCK, header.size))
        if receipt is None or receipt.length > location.length:
            return DamagedMember(location, "its receipt cannot be read", next_offset)
        if self._verify and self._fingerprint(location, receipt) != receipt.sha256:
            return DamagedMember(location, "its bytes are not those that its receipt attests", next_offset)
        return InstanceMember(location, _storable(receipt), next_offset)

    def _without_receipt(self, location: Location, end: int, damaged: bool) -> Member | None:
        if not damaged:
            return FileMember(location, end)
        found = self._next_header(end)
        return DamagedMember(location, "its receipt cannot be read", found) if found else None

    def _damage(self, offset: int, reason: str) -> DamagedMember | None:
        """Damage in the middle of a container: go on at the next header. At its end: a torn tail, nothing at all."""
        found = self._next_header(offset)
        location = Location(self._container, offset, (found or offset) - offset)
        return DamagedMember(location, reason, found) if found else None

    def _next_header(self, offset: int) -> int | None:
        for candidate in range(offset + tar.BLOCK, self._size - tar.BLOCK + 1, tar.BLOCK):
            header = tar.unpack(os.pread(self._descriptor, tar.BLOCK, candidate))
            if header is not None and header.name.endswith((".dcm", ".event")):
                return candidate
        return None

    def _document(self, begin: int, size: int) -> dict[str, Any] | None:
        if size > _MAX_DOCUMENT_BYTES:
            return None
        try:
            document = json.loads(os.pread(self._descriptor, size, begin))
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    def _fingerprint(self, location: Location, receipt: Receipt) -> str:
        digest = hashlib.sha256()
        position = location.offset + location.length - receipt.length
        end = location.offset + location.length
        while position < end:
            chunk = os.pread(self._descriptor, min(_CHUNK, end - position), position)
            if not chunk:
                break
            digest.update(chunk)
            position += len(chunk)
        digest.update(receipt.transfer_syntax_uid.encode())
        return digest.hexdigest()


def _storable(receipt: Receipt) -> Receipt:
    """Not before its bytes were held against it: the sha256 covers the transfer syntax UID as it came."""
    texts = "".join(map(str, vars(receipt).values()))
    return receipt if storable_text(texts) == texts else Receipt(**storable(vars(receipt)))


def _receipt(document: dict[str, Any] | None) -> Receipt | None:
    try:
        return Receipt.from_json(document) if document is not None else None
    except KeyError:
        return None
