"""`bench receive` at work: rounds over all rows and peers, in turns, every run counted where it is kept."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dicomnode.cli.bench.network import processes
from dicomnode.cli.bench.network.figures import Run
from dicomnode.cli.bench.network.instances import Kind
from dicomnode.cli.bench.network.peer import Peer
from dicomnode.cli.bench.network.rows import Row
from dicomnode.cli.bench.network.sending import Senders, Target

Told = Callable[[str], None]
"""Told what is measured next."""

_WARM_UP = 20
_LOOK_SECONDS = 0.25


class ReceiveBench:
    """Peers are started anew for every round; while one is measured the others sleep."""

    def __init__(self, folder: Path, kinds: Mapping[str, Kind], rows: Sequence[Row], peers: Sequence[Peer]) -> None:
        self._folder, self._rows, self._peers = folder, rows, peers
        self._senders = Senders(folder, kinds)
        self.runs: list[Run] = []

    def steps(self, repeats: int) -> int:
        """How often `run` tells what it does."""
        return sum(len(list(self._of(row))) * (1 if row.once else repeats) for row in self._rows)

    def run(self, repeats: int, told: Told) -> None:
        """Measure everything `repeats` times. Raises CommandFailed where a peer does not do as it should."""
        for number in range(repeats):
            with self._started(number):
                for row in self._rows:
                    if number == 0 or not row.once:
                        self._row(row, number, told)

    def _row(self, row: Row, number: int, told: Told) -> None:
        peers = list(self._of(row))
        first = number % len(peers)  # nobody is always the one behind the same other
        for peer in peers[first:] + peers[:first]:
            told(f"{row.title}: {peer.title}")
            peer.thaw()
            self.runs.append(self._measured(row, peer, number))
            peer.freeze()

    def _of(self, row: Row) -> Iterator[Peer]:
        return (
            peer
            for peer in self._peers
            if (not row.peers or peer.key in row.peers) and (not peer.rows or row.key in peer.rows)
        )

    def _measured(self, row: Row, peer: Peer, number: int) -> Run:
        before = peer.stored()
        os.sync()  # what another one left unsynced would be written now, at this one's cost
        processes.forget_peaks(peer.pids)
        cpu = processes.cpu_seconds(peer.pids)
        with _Memory(peer) as memory:
            sent = self._senders.send(row, Target(peer.called, peer.port(row.associations)))
            settle = peer.settle(before + row.instances) if peer.keeps else 0.0
        return Run(
            round=number,
            row=row.key,
            peer=peer.key,
            instances=row.instances,
            seconds=sent.seconds,
            p50_ms=sent.p50_ms,
            p99_ms=sent.p99_ms,
            cpu_s=processes.cpu_seconds(peer.pids) - cpu,
            sender_cpu_s=sent.cpu_s,
            receiver_mib=memory.receiver,
            largest_mib=memory.largest,
            settle_s=settle,
            stored=row.instances if peer.keeps else None,
        )

    @contextmanager
    def _started(self, number: int) -> Iterator[None]:
        """Every peer, awake only for a few instances that nobody counts; all are gone at the end."""
        folder = self._folder / f"round-{number}"
        folder.mkdir()
        try:
            for peer in self._peers:
                peer.start(folder / peer.key)
            for peer in self._peers:
                peer.wait_ready()
                self._warm_up(peer)
                peer.freeze()
            yield
        finally:
            stopping = [threading.Thread(target=peer.stop) for peer in self._peers]
            for thread in stopping:
                thread.start()
            for thread in stopping:
                thread.join()
            shutil.rmtree(folder)

    def _warm_up(self, peer: Peer) -> None:
        for associations in {row.associations for row in self._rows}:
            row = Row("warm-up", self._rows[0].modality, _WARM_UP, associations)
            before = peer.stored()
            self._senders.send(row, Target(peer.called, peer.port(associations)))
            if peer.keeps:
                peer.settle(before + row.instances)


class _Memory:
    """Watches the peaks of a peer's memory, in MiB: children that end take theirs with them."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.receiver = self.largest = 0.0

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        peaks = processes.peaks(self._peer.pids)
        self.largest = max(self.largest, *peaks.values(), 0.0)
        self.receiver = max(self.receiver, *(peaks.get(pid, 0.0) for pid in self._peer.receivers()), 0.0)
