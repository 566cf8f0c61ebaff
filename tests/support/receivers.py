"""Receiving processes under a supervisor, without the rest of a node: the real children, board, ports and store."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from support.peers import free_port
from support.rawfiles import RawFile
from support.rawsend import RawSender
from support.refusal import refusal

from dicomnode.receive.admission import Admission
from dicomnode.receive.board import Board
from dicomnode.receive.launch import Launch
from dicomnode.receive.ports import Addresses, Ports
from dicomnode.receive.receiver import ReceiverSettings
from dicomnode.receive.supervisor import Death, Supervisor
from dicomnode.receive.tally import NodeTally, open_associations
from dicomnode.receive.tls import ServerTls
from dicomnode.store.members import InstanceMember, members
from dicomnode.store.reading import containers


@dataclass
class Processes:
    """Running receiving processes, and the deaths that were told."""

    root: Path
    port: int
    board: Board
    supervisor: Supervisor
    deaths: list[Death] = field(default_factory=list)

    @property
    def tally(self) -> NodeTally:
        return NodeTally(self.board)

    @property
    def pids(self) -> list[int]:
        """Process ID of each, in their order; those that run."""
        found = [child.process for child in self.supervisor._children]
        return [process.pid for process in found if process is not None]

    def open(self) -> list[int]:
        """How many associations each has open."""
        return [open_associations(row) for row in self.board.rows()]

    def boot(self, number: int) -> str:
        return f"{self.board.row(number).get('boot'):016x}"

    def associate(self, calling: str = "MODALITY") -> Association:
        """An association, or what became of it."""
        return self._entity(calling).associate("127.0.0.1", self.port, ae_title="DICOMNODE")

    def refusal(self, calling: str = "MODALITY") -> tuple[int, int, int]:
        """Result, source and reason of the A-ASSOCIATE-RJ that the next request gets."""
        return refusal(self._entity(calling), self.port)

    def _entity(self, calling: str) -> AE:
        entity = AE(ae_title=calling)
        entity.add_requested_context("1.2.840.10008.1.1")
        return entity

    def sender(self) -> RawSender:
        return RawSender("127.0.0.1", self.port, "DICOMNODE", "MODALITY")

    def senders_on_each(self, file: RawFile) -> dict[int, RawSender]:
        """An open sender on every process, each after one instance."""
        found: dict[int, RawSender] = {}
        for number in range(self.board.processes):
            before, sender = self.open(), self.sender()
            with self.alone(number):
                assert send(sender, file) == 0x0000
            before[number] += 1
            assert self.open() == before
            found[number] = sender
        return found

    @contextmanager
    def alone(self, number: int) -> Iterator[None]:
        """Meanwhile the other processes stand still: else the kernel chooses who takes a connection."""
        others = [pid for other, pid in enumerate(self.pids) if other != number]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.wait_until(lambda: all(map(_stands_still, others)), "the others to stand still")
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def stored(self) -> dict[str, list[str]]:
        """The containers that hold each SOP instance, verified."""
        found: dict[str, list[str]] = {}
        for container in containers(self.root):
            for member in members(self.root, container.name):
                if isinstance(member, InstanceMember):
                    found.setdefault(member.receipt.sop_instance_uid, []).append(container.name)
        return found

    def wait_until(self, predicate: Callable[[], bool], why: str, seconds: float = 60.0) -> None:
        """Fail after that long."""
        deadline = time.monotonic() + seconds
        while not predicate():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds:g} s for {why}")
            time.sleep(0.01)


def send(sender: RawSender, file: RawFile) -> int:
    """One C-STORE; returns the status of its response. Raises NoAnswer."""
    return sender.store(file.sop_class, file.sop_uid, file.transfer_syntax, file.data_set)


def _stands_still(pid: int) -> bool:
    """Every thread of it."""
    try:
        return all("\nState:\tT" in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:  # a thread has just ended
        return False


def launch_for(
    root: Path, port: int, *, max_associations: int = 64, drain_seconds: float = 0.5, tls: ServerTls | None = None
) -> Launch:
    """What a node with these settings starts its receiving processes with."""
    return Launch(
        receiver=ReceiverSettings(port=port, max_associations=max_associations),
        root=root,
        node="node",
        min_free_gb=0.0,
        max_backlog=10_000,
        log_level="warning",
        drain_seconds=drain_seconds,
        admission=Admission(),
        tls=tls,
    )


@contextmanager
def receiving_processes(
    root: Path, processes: int = 2, *, max_associations: int = 64, drain_seconds: float = 0.5
) -> Iterator[Processes]:
    """Start them on a free port of the loopback; end them afterwards."""
    port = free_port()
    launch = launch_for(root, port, max_associations=max_associations, drain_seconds=drain_seconds)
    board = Board.create(processes, max_associations)
    deaths: list[Death] = []
    supervisor = Supervisor(launch, Ports.open(Addresses("127.0.0.1", port, None)), board, deaths.append)
    supervisor.start()
    try:
        yield Processes(root, port, board, supervisor, deaths)
    finally:
        supervisor.stop()
        board.close()
