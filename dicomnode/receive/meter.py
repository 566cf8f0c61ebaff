"""What a receiver counts, for whoever measures it."""

from typing import Protocol

from dicomnode.receive.statuses import Status


class Meter(Protocol):
    """Called from many threads, on the path of every instance: must be quick and must not raise."""

    def association(self, outcome: str) -> None:
        """An association was `opened`, `rejected`, or came to its end: `released`, `aborted`, `lost`."""

    def answered(self, status: Status, data_set_bytes: int, seconds: float) -> None:
        """A C-STORE was answered, after `seconds` in the node's own hands."""


class NoMeter:
    """Counts nothing."""

    def association(self, outcome: str) -> None:
        """Counts nothing."""

    def answered(self, status: Status, data_set_bytes: int, seconds: float) -> None:
        """Counts nothing."""
