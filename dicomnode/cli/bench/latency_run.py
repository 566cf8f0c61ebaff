"""`bench latency` at work: rounds over all ways to the PACS, in turns, each series counted in the PACS."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dicomnode.cli.bench.latency_peers import Node, Pacs, Router, Stages, Watch
from dicomnode.cli.bench.latency_rows import PACS, Row
from dicomnode.cli.bench.latency_series import Sent, Slices, send
from dicomnode.cli.bench.network import processes
from dicomnode.cli.bench.network.peer import Peer
from dicomnode.cli.common import fail

_WARM_UP = 8
_PATIENCE = 240.0
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Run:
    """Seconds from the last response to the sender until each stage; `sent`: from the first byte to that response.

    `last`: the PACS has all that it was to get. For the PACS alone it is `sent` that counts.
    """

    round: int
    row: str
    sent: float
    last: float
    first: float
    indexed: float | None = None
    complete: float | None = None
    claimed: float | None = None
    committed: float | None = None
    cpu_s: float = 0.0
    """Of the router or node, from the first byte on until the PACS had all."""

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


class LatencyBench:
    """All peers are started anew for every round; those that are not measured sleep. The PACS is one and the same."""

    def __init__(
        self,
        folder: Path,
        rows: Sequence[Row],
        slices: Mapping[str, Slices],
        peers: Callable[[Pacs], Sequence[Peer]],
    ) -> None:
        """`slices` by pipeline; `peers` makes the routers and nodes that send to a PACS."""
        self._folder, self._rows, self._slices, self._make_peers = folder, rows, slices, peers
        self.runs: list[Run] = []

    def steps(self, repeats: int) -> int:
        """How often `run` tells what it does."""
        return sum(1 if row.once else repeats for row in self._rows)

    def run(self, repeats: int, told: Callable[[str], None]) -> None:
        """Measure everything `repeats` times. Raises CommandFailed where a series does not arrive whole."""
        for number in range(repeats):
            rows = [row for row in self._rows if number == 0 or not row.once]
            first = number % len(rows)  # nobody is always the one behind the same other
            with self._started(number, {row.peer for row in rows}) as (pacs, peers):
                for row in rows[first:] + rows[:first]:
                    told(row.title)
                    self.runs.append(self._measured(row, number, pacs, peers))

    def _measured(self, row: Row, number: int, pacs: Pacs, peers: Mapping[str, Peer]) -> Run:
        peer = peers[row.peer]
        os.sync()  # what another one left unsynced would be written now, at this one's cost
        peer.thaw()
        cpu = processes.cpu_seconds(peer.pids)
        slices = self._slices[row.pipeline]
        watch = Watch(pacs, len(slices.data_sets))
        sent = send(slices, peer.port(1), peer.called, associations=row.associations, pace=row.pace)
        indexed = _indexed(peer, sent, len(slices.data_sets)) if isinstance(peer, Node) else None
        watch.wait(_PATIENCE, row.title)
        used = processes.cpu_seconds(peer.pids) - cpu
        stages = _stages(peer, sent) if isinstance(peer, Node) else {}
        _check_order(row, watch, sent, stages)
        if peer is not pacs:
            peer.freeze()
        return Run(
            round=number,
            row=row.key,
            sent=sent.seconds,
            last=watch.last - sent.ended,
            first=watch.first - sent.ended,
            indexed=indexed,
            cpu_s=used,
            **stages,
        )

    @contextmanager
    def _started(self, number: int, wanted: set[str]) -> Iterator[tuple[Pacs, Mapping[str, Peer]]]:
        folder = self._folder / f"round-{number}"
        folder.mkdir()
        pacs = Pacs()
        started: list[Peer] = [pacs]
        try:
            pacs.start(folder / PACS)
            pacs.wait_ready()
            started += [peer for peer in self._make_peers(pacs) if peer.key in wanted]
            for peer in started[1:]:
                peer.start(folder / peer.key)
            for peer in started[1:]:
                peer.wait_ready()
                self._warm_up(peer, pacs)
                peer.freeze()
            yield pacs, {peer.key: peer for peer in started}
        finally:
            stopping = [threading.Thread(target=peer.stop) for peer in started]
            for thread in stopping:
                thread.start()
            for thread in stopping:
                thread.join()
            shutil.rmtree(folder)

    def _warm_up(self, peer: Peer, pacs: Pacs) -> None:
        """A short series of each kind to its end: programs are loaded, networks on their device."""
        if isinstance(peer, Router) and peer.stable_age > _WARM_UP:
            return
        wanted = {row.pipeline for row in self._rows if row.peer == peer.key}
        for slices in (self._slices[pipeline] for pipeline in sorted(wanted)):
            few = slices.first(_WARM_UP)
            watch = Watch(pacs, len(few.data_sets))
            send(few, peer.port(1), peer.called)
            watch.wait(_PATIENCE, f"warming up {peer.title}")


def _indexed(node: Node, sent: Sent, count: int) -> float:
    """Seconds from the last response until the node's index has all of the series."""
    while node.indexed(sent.series_uid) < count:
        for child in node.children:
            child.require_alive()
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - sent.ended


def _stages(node: Node, sent: Sent) -> dict[str, float | None]:
    found: Stages = node.stages(sent.series_uid)
    ended = sent.ended + time.time() - time.monotonic()
    return {name: None if at is None else at - ended for name, at in asdict(found).items()}


def _check_order(row: Row, watch: Watch, sent: Sent, stages: Mapping[str, float | None]) -> None:
    """No derived instance may be in the PACS before its series was complete. Raises CommandFailed."""
    complete = stages.get("complete")
    if complete is not None and watch.none_until - sent.ended < complete and watch.first - sent.ended < complete:
        fail(f"{row.title}: a derived instance was in the PACS before its series was complete")
