"""The tar form of containers: POSIX.1-1988 (ustar) headers, 512-byte blocks; any tar reads them."""

import json
import time
from dataclasses import dataclass
from typing import Any

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)
MAX_MEMBER_BYTES = 8**11 - 1
"""The largest size that a ustar header can say: 8 GiB less one byte."""

TOO_LARGE = "the instance is larger than a container's member can be (8 GiB)"

_SIZE = slice(124, 136)
_CHECKSUM = slice(148, 156)
_MAGIC = slice(257, 263)


@dataclass(frozen=True)
class Header:
    """One member: its name and the number of bytes that follow the header block."""

    name: str
    size: int


def padding(size: int) -> bytes:
    """The zeros that fill the last block of `size` bytes."""
    return bytes(-size % BLOCK)


def padded(size: int) -> int:
    """`size` rounded up to whole blocks."""
    return size + -size % BLOCK


def pack(name: str, size: int) -> bytes:
    """The header block of a regular file of mode 0600, owned by nobody in particular, dated now.

    Raises ValueError if the size does not fit a ustar header.
    """
    if size > MAX_MEMBER_BYTES:
        raise ValueError(f"a member of {size} bytes does not fit a ustar header")
    fields = b"".join(
        (
            name.encode("ascii").ljust(100, b"\0"),
            b"0000600\0" + b"0000000\0" + b"0000000\0",
            b"%011o\0" % size,
            b"%011o\0" % int(time.time()),
            b" " * 8,
            b"0",
            bytes(100),
            b"ustar\x0000",
        )
    ).ljust(BLOCK, b"\0")
    return fields[: _CHECKSUM.start] + b"%06o\0 " % sum(fields) + fields[_CHECKSUM.stop :]


def document(name: str, content: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    """A whole member that holds a JSON object: its header block, its bytes, their padding."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return pack(name, len(body)), body, padding(len(body))


def unpack(block: bytes) -> Header | None:
    """The header in this block, or None where its checksum says that there is none."""
    if len(block) != BLOCK or block[_MAGIC] != b"ustar\0":
        return None
    try:
        checksum = int(block[_CHECKSUM].rstrip(b" \0"), 8)
        size = int(block[_SIZE].rstrip(b" \0"), 8)
        name = block[:100].rstrip(b"\0").decode("ascii")
    except ValueError:
        return None
    if checksum != sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" "):
        return None
    return Header(name, size)
