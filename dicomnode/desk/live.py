"""What only the running process knows of itself; a database tells nothing of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ReceiverState:
    """A receiving process: its number from 1, what it says of itself, and the associations that it has open."""

    number: int
    state: str
    associations: int


@dataclass(frozen=True)
class LoopState:
    """A background loop. `trouble` is what its last turn failed with, empty if it did not."""

    name: str
    alive: bool
    trouble: str = ""


@dataclass(frozen=True)
class Live:
    """A node's processes and threads at one moment."""

    listening: bool
    listens_on: str = ""
    receivers: Sequence[ReceiverState] = ()
    loops: Sequence[LoopState] = ()
    workers: Sequence[str] = ()
    """Names of the worker processes that this node keeps."""
    workers_alive: int = 0
    backlog: int = 0
    """Instances that are stored and acknowledged, and not indexed yet."""
    refusal: str = ""
    """Why nothing more is accepted now (A700); empty while it is."""
