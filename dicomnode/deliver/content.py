"""What an instance to send is made of: a Part 10 file in memory, or one that is read from disk while it goes out.

A stored instance is never in memory as a whole: `pread` fills one buffer again and again, and the socket takes what
the buffer holds. Measured against the other ways, CT into a discarding storescp over loopback: mapping the container
is 5 % faster and `sendfile` of each fragment 25 % slower; and a page of a mapping that the disk cannot read would kill
the process (SIGBUS), where `pread` raises OSError for one instance.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from dicomnode.deliver.part10 import data_set_offset
from dicomnode.domain.instance import Location

BUFFER_BYTES = 1 << 20
"""Of each association's buffer; more than the longest PDU we write, and than most instances."""


class Content(Protocol):
    """A Part 10 file of `length` bytes."""

    length: int

    def window(self, offset: int, buffer: memoryview) -> memoryview:
        """The bytes from `offset` on, at least as many as `buffer` takes or the file still has; may lie in `buffer`.

        Raises OSError, and EOFError where the file ends too early.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class InMemory:
    """A Part 10 file that is in memory anyway; nothing of it is copied."""

    def __init__(self, part10: bytes) -> None:
        self._view, self.length = memoryview(part10), len(part10)

    def window(self, offset: int, buffer: memoryview) -> memoryview:
        return self._view[offset:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class OnDisk:
    """A Part 10 file in a container, or a file of its own. Opened when made: raises OSError, EOFError, ValueError."""

    def __init__(self, path: Path, begin: int = 0, length: int | None = None) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size = os.fstat(self._descriptor).st_size
        self._name, self._begin = path.name, begin
        self.length = size - begin if length is None else length
        if begin + self.length > size:
            os.close(self._descriptor)
            raise EOFError(f"{path.name} ends before byte {begin + self.length}")

    @classmethod
    def at(cls, root: Path, location: Location) -> "OnDisk":
        """The instance at a location of the store. A container that is removed meanwhile is read to its end."""
        path = Path(location.container)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{location.container!r} is not the name of a container")
        return cls(root / path, location.offset, location.length)

    def window(self, offset: int, buffer: memoryview) -> memoryview:
        wanted = buffer[: self.length - offset]
        filled = 0
        while filled < len(wanted):
            count = os.preadv(self._descriptor, [wanted[filled:]], self._begin + offset + filled)
            if not count:
                raise EOFError(f"{self._name} became shorter while it was read")
            filled += count
        return wanted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


class DataSet:
    """The data set of a Part 10 file, in pieces as they are sent.

    Made, it has read the file's beginning: what is no Part 10 file is found (NotPart10) before anything is sent.
    """

    def __init__(self, content: Content, buffer: memoryview, *, begin: int | None = None) -> None:
        """`begin`: the offset of the data set; by default it is behind the file meta information, and looked for."""
        self._content, self._buffer = content, buffer
        self._first = content.window(0, buffer)
        self._begin = data_set_offset(self._first) if begin is None else begin

    def pieces(self, step: int) -> Iterator[tuple[memoryview, bool]]:
        """Runs of bytes, in order, and whether each is the last; all others are multiples of `step` bytes long.

        A piece is valid until the next is asked for. `step` is at most the length of the buffer. Raises OSError and
        EOFError.
        """
        offset, window = self._begin, self._first[self._begin :]
        while offset + len(window) < self._content.length:
            whole = len(window) - len(window) % step
            if whole:
                yield window[:whole], False
            offset += whole
            window = self._content.window(offset, self._buffer)
        yield window, True
