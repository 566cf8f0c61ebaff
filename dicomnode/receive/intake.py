"""The data set of one message while it arrives: in memory, and on disk once it is large."""

from typing import Protocol

from dicomnode.receive.limits import Limits
from dicomnode.receive.wire import Wire


class Overflow(Protocol):
    """Where a data set goes that is too large for memory. No method raises."""

    def write(self, piece: memoryview) -> None:
        """The next bytes of it."""

    def discard(self) -> None:
        """The rest will not come, or is not wanted."""


class ReadOver:
    """For a data set that nobody keeps: the message that it belongs to is refused when all of it has come."""

    def write(self, piece: memoryview) -> None:
        """Gone."""

    def discard(self) -> None:
        """Nothing to be removed."""


class Intake:
    """Collects the fragments of one data set after another; its memory is used again.

    A data set that passes `limits.memory_bytes` goes to what `begin` was given for such a case.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = memoryview(bytearray(limits.max_pdu + limits.forgiven))
        self.length = 0
        self.large: Overflow | None = None

    @property
    def data_set(self) -> memoryview:
        """All of it, as long as it is in memory; valid until the next one begins."""
        return self._buffer[: self.length]

    def begin(self) -> None:
        """Another data set."""
        self.length, self.large = 0, None

    def must_spill(self, size: int) -> bool:
        """Whether the next `size` bytes need somewhere else than memory: set `spill` first."""
        return self.large is None and self.length + size > self._limits.memory_bytes

    def spill(self, large: Overflow) -> None:
        """Hand over what came so far; all that follows goes there too."""
        self.large = large
        large.write(self.data_set)

    def take(self, wire: Wire, size: int) -> None:
        """Read the next `size` bytes of the data set, one fragment's worth. Raises Interrupted."""
        if self.large is None:
            self._make_room(size)
            wire.into(self._buffer[self.length : self.length + size])
        else:
            piece = self._buffer[:size]
            wire.into(piece)
            self.large.write(piece)
        self.length += size

    def discard(self) -> None:
        """The rest will not come."""
        if self.large is not None:
            self.large.discard()
        self.begin()

    def _make_room(self, size: int) -> None:
        wanted = self.length + size
        if wanted > len(self._buffer):
            larger = memoryview(bytearray(max(wanted, 2 * len(self._buffer))))
            larger[: self.length] = self.data_set
            self._buffer = larger
