"""A soak: senders break off, the node is stopped and killed; memory and descriptors flat, nothing left over."""

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from faults.scenario import ask, assert_delivered_once, backlog, excuse, indexed, instances, kill, send, sender_to, site
from support.footprint import MIB, Footprint, descendants, resident
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.rawfiles import RawFile
from support.rawsend import NoAnswer
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.peers, pytest.mark.timeout(600)]

T = TypeVar("T")

COUNT = 6
GROWTH = 1.10
SPARE = 12
"""Descriptors and threads by which two times of a working node may differ: who is connected."""
WAITING = 40
"""Pieces of work beyond which senders pause: a soak, and no race between senders and workers of one machine."""


class Churn:
    """Senders that each send series after series, break some off half-way, and send what was not acknowledged again."""

    def __init__(self, node: Node, root: Path, senders: int) -> None:
        self._node, self._root = node, root
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(senders)]
        self.series = 0
        self.broken_off = 0
        self._lock = threading.Lock()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Let everybody finish the series in hand."""
        self._ending.set()
        for thread in self._threads:
            thread.join(120.0)
            assert not thread.is_alive(), "a sender never got its series through"

    def _send(self, sender: int) -> None:
        number = 0
        while not self._ending.is_set():
            seed = sender * 100_000 + number
            folder = self._root / f"ct{seed}"
            files = instances(make_ct_series(folder, COUNT, rows=64, seed=seed, images_in_acquisition=True))
            left = files
            breaks_off = number % 3 == 0
            while left:
                left = self._attempt(left, breaks_off)
                breaks_off = False
            number += 1
            with self._lock:
                self.series += 1
            while not self._ending.wait(0.5) and open_work(self._node) > WAITING:
                pass

    def _attempt(self, files: list[RawFile], breaks_off: bool) -> list[RawFile]:
        """One association; returns what was not acknowledged over it."""
        done = 0
        try:
            sender = sender_to(self._node, timeout=10.0)
        except (NoAnswer, OSError):
            time.sleep(0.2)
            return files
        try:
            for file in files:
                if breaks_off and done == len(files) // 2:
                    self.broken_off += 1
                    break
                if send(sender, file) != 0x0000:
                    break
                done += 1
            else:
                sender.close()
                return []
        except (NoAnswer, OSError):
            pass
        sender.abort()
        return files[done:]


@dataclass
class Gauge:
    """What the processes of one life take, sampled each second."""

    node: Node
    memory: list[int] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)

    def watch(self, seconds: float) -> None:
        begin = time.monotonic()
        while time.monotonic() < begin + seconds:
            pids = [self.node.pid, *descendants(self.node.pid)]
            self.memory.append(sum(map(resident, pids)))
            self.footprints.append(Footprint.of(pids))
            time.sleep(1.0)

    def quarters(self) -> tuple[float, float]:
        """Median memory of all processes together in the second and in the last quarter, in bytes."""
        return statistics.median(_second_quarter(self.memory)), statistics.median(_last_quarter(self.memory))

    def typical(self) -> tuple[Footprint, Footprint]:
        """The same of descriptors and threads: who is connected just now makes no difference."""
        return _median(_second_quarter(self.footprints)), _median(_last_quarter(self.footprints))


def _second_quarter(samples: Sequence[T]) -> Sequence[T]:
    quarter = max(1, len(samples) // 4)
    return samples[quarter : 2 * quarter]


def _last_quarter(samples: Sequence[T]) -> Sequence[T]:
    return samples[-max(1, len(samples) // 4) :]


def _median(samples: Sequence[Footprint]) -> Footprint:
    return Footprint(
        int(statistics.median(each.descriptors for each in samples)),
        int(statistics.median(each.threads for each in samples)),
    )


def live(node: Node, proxy: RecordingProxy, form: Form) -> Gauge:
    """Three lives under churn: one stopped, one killed, and the last one, which is measured."""
    share = form["seconds"] / 5
    time.sleep(share)
    node.terminate()
    node.start()
    time.sleep(share)
    kill(node, proxy)
    node.start()
    done = finished(node)
    node.wait_until(lambda: finished(node) > done + 2, 180.0, "a worker that is at work")
    gauge = Gauge(node)
    gauge.watch(3 * share)
    return gauge


def finished(node: Node) -> int:
    return int(ask(node, "SELECT count(*) FROM enhancement WHERE state = 'done'")[0][0])


def open_work(node: Node) -> int:
    """Series that are not complete, work and deliveries that are not over."""
    states = (("series", "receiving"), ("enhancement", "ready"), ("enhancement", "running"),
              ("delivery", "pending"), ("delivery", "sending"))  # fmt: skip
    return sum(ask(node, f"SELECT count(*) FROM {table} WHERE state = ?", state)[0][0] for table, state in states)


@pytest.mark.parametrize("form", forms(22))
def test_a_node_under_churn_stays_what_it_was(
    form: Form, tmp_path: Path, orthanc: Orthanc, record_row: RecordRow
) -> None:
    with RecordingProxy(orthanc.dicom_port) as proxy:
        completion = {"quiet_seconds": 4.0, "grace_seconds": 0.2}
        # One association: four come and go with the moment, and so would descriptors.
        sections = {"completion": completion, "engine": {"retry_seconds": 0.2}, "delivery": {"associations": 1}}
        node = Node(tmp_path / "node", site_yaml=site(proxy.port), **sections)
        try:
            node.start()
            churn = Churn(node, tmp_path, form["senders"])
            try:
                gauge = live(node, proxy, form)
            finally:
                churn.end()
            sent = churn.series * COUNT
            node.wait_until(lambda: len(indexed(node)) == sent, 120.0, "the index to have it all")
            node.wait_until(lambda: not open_work(node), 180.0, "all work to be over")
            node.wait_until(lambda: orthanc.instance_count() == sent, 60.0, "all derived instances at the PACS")
            assert backlog(node) == 0
            excuse(proxy, [])
            series = (orthanc.sop_uids(uid) for uid in orthanc.series())
            assert_delivered_once(proxy, series, [COUNT] * churn.series)
        finally:
            node.stop()
    earlier, later = gauge.quarters()
    assert churn.broken_off > 0
    if form.is_long:  # a short life ends before its caches are filled
        assert later <= GROWTH * earlier, f"from {earlier / MIB:.0f} to {later / MIB:.0f} MiB"
    first, last = gauge.typical()
    assert last.within(first, SPARE), f"from {first} to {last}"
    text = f"{churn.series} series, {churn.broken_off} broken off, a stop and a kill; {earlier / MIB:.0f}, then"
    record_row(form, node=f"{text} {later / MIB:.0f} MiB in all processes; {first}, then {last}; all {sent} once")
