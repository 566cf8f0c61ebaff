"""The node and two trusted peers behind one face, so that the same attack tells of each."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from faults.scenario import indexed
from support.footprint import descendants
from support.nodeproc import Node
from support.peers import Orthanc, StoreScp


class Target(Protocol):
    """A Storage SCP under attack, running."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def ae_title(self) -> str:
        """What it is called."""

    def pids(self) -> list[int]:
        """The processes that receive."""

    def stored(self) -> int:
        """How many instances it holds."""


@dataclass
class NodeTarget:
    """A node; `pids` are its receiving processes."""

    node: Node

    @property
    def port(self) -> int:
        return self.node.dicom_port

    @property
    def ae_title(self) -> str:
        return self.node.ae_title

    def pids(self) -> list[int]:
        return sorted(self.node.receivers())

    def stored(self) -> int:
        """Instances in the index."""
        return len(indexed(self.node))


@dataclass
class OrthancTarget:
    """Orthanc, as Debian sets it up, but syncing as it does by default."""

    peer: Orthanc

    @property
    def port(self) -> int:
        return self.peer.dicom_port

    @property
    def ae_title(self) -> str:
        return self.peer.ae_title

    def pids(self) -> list[int]:
        return [self.peer.pid]

    def stored(self) -> int:
        return self.peer.instance_count()


@dataclass
class StoreScpTarget:
    """DCMTK's storescp with a process for each association: the sturdier of its forms."""

    peer: StoreScp
    ae_title: str = "ANY-SCP"

    @property
    def port(self) -> int:
        return self.peer.port

    def pids(self) -> list[int]:
        return [self.peer.pid, *descendants(self.peer.pid)]

    def stored(self) -> int:
        return len(self.peer.files())


@contextlib.contextmanager
def a_node(root: Path, **settings: Any) -> Iterator[NodeTarget]:
    """A running node with these sections of settings."""
    with Node(root, **settings) as node:
        yield NodeTarget(node)


@contextlib.contextmanager
def an_orthanc(root: Path, **options: Any) -> Iterator[OrthancTarget]:
    """A running Orthanc that takes any AE title."""
    with Orthanc(root, DicomCheckCalledAet=False, **options) as peer:
        yield OrthancTarget(peer)


@contextlib.contextmanager
def a_storescp(root: Path, *flags: str) -> Iterator[StoreScpTarget]:
    """A running `storescp --fork +B`."""
    root.mkdir(parents=True)
    with StoreScp(root / "received", "--fork", "+B", *flags) as peer:
        yield StoreScpTarget(peer)
