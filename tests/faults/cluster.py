"""Two node processes on one PostgreSQL and one store, what they are sent, and what a PACS behind a proxy got of it."""

import math
import os
import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from faults.scenario import send, sender_to, site
from sqlalchemy import func, select
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy, Store
from support.rawfiles import RawFile
from support.rawsend import NoAnswer

from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, Delivery, NodeRow, Series

LEASE = 6.0
"""Of nodes, workers and deliveries: how long one may be silent before others go on with what it had."""
PATIENCE = 120.0


class Cluster:
    """Nodes `a` and `b`; `with` starts and stops them."""

    def __init__(self, root: Path, url: str, proxy: RecordingProxy, **settings: Any) -> None:
        self.root, self.proxy, self.database = root, proxy, Database(url)
        self.nodes = [self._node(name, url, settings) for name in ("a", "b")]
        self.a, self.b = self.nodes

    def _node(self, name: str, url: str, settings: dict[str, Any]) -> Node:
        return Node(
            self.root / name,
            site_yaml=site(self.proxy.port) if name == "a" else None,
            node={"name": name, "lease_seconds": LEASE},
            dicom={"ae_title": f"NODE{name.upper()}"},
            database={"url": url, **settings.pop("database", {})},
            store={"root": str(self.root / "store"), "min_free_gb": 0},
            completion={"quiet_seconds": 60.0, "grace_seconds": 0.2},
            engine={"devices": ["cpu"], "lease_seconds": LEASE, "retry_seconds": 0.2},
            delivery={"lease_seconds": LEASE},
            **settings,
        )

    def ask(self, query: Any) -> Any:
        """The one value that a query gives."""
        with self.database.read() as session:
            return session.scalar(query)

    def events(self, kind: str) -> Counter[str]:
        """How many audit events of a kind each series has."""
        with self.database.read() as session:
            query = select(AuditEvent.series_uid, func.count()).where(AuditEvent.kind == kind)
            return Counter(
                {uid or "": number for uid, number in session.execute(query.group_by(AuditEvent.series_uid))}
            )

    def complete(self) -> int:
        """Series that are complete."""
        return int(self.ask(select(func.count()).where(Series.state == "complete")))

    def unsent(self) -> int:
        """Deliveries that are not sent."""
        return int(self.ask(select(func.count()).where(Delivery.state.not_in(("sent", "verified", "committed")))))

    def heir_of(self, node: Node) -> str:
        """Who looks after what a node left; empty: nobody."""
        return str(self.ask(select(NodeRow.taken_by).where(NodeRow.name == node.settings["node"]["name"])))

    def wait(self, reached: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
        """Wait until `reached()`; it fails with the logs of both."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"waited for {what}\n{self.a.log_tail()}\n\n{self.b.log_tail()}"
            time.sleep(0.1)

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.stop()
        self.database.close()


class Modalities:
    """Senders that work off a list of series, each instance until it is acknowledged, at whichever node answers.

    Every other series is spread: its instances go to both nodes in turn.
    """

    def __init__(self, nodes: Sequence[Node], series: Iterable[Sequence[RawFile]], senders: int = 4) -> None:
        self._nodes, self._work = nodes, queue.SimpleQueue[tuple[int, Sequence[RawFile]]]()
        for number, files in enumerate(series):
            self._work.put((number, files))
        self.acknowledged: list[str] = []
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(f"MOD{number}",)) for number in range(senders)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for all; raises what one of them could not cope with."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a sender does not end"
        if self.failures:
            raise self.failures[0]

    def _run(self, calling: str) -> None:
        senders = [sender_to(node, calling, timeout=60.0) for node in self._nodes]
        try:
            with suppress(queue.Empty):
                while True:
                    number, files = self._work.get_nowait()
                    for index, file in enumerate(files):
                        first = (number + (index if number % 4 > 1 else 0)) % len(senders)
                        self._store(senders, first, file, calling)
            for sender in senders:
                sender.close()
        except BaseException as error:
            self.failures.append(error)

    def _store(self, senders: list[Any], first: int, file: RawFile, calling: str) -> None:
        """At `first`; where it does not answer, at another node, over and over."""
        deadline = time.monotonic() + PATIENCE
        for turn in range(first, 10_000):
            which = turn % len(senders)
            try:
                status = send(senders[which], file)
            except (NoAnswer, OSError):
                senders[which].abort()
                senders[which] = sender_to(self._nodes[which], calling, timeout=60.0)
            else:
                if status == 0x0000:
                    self.acknowledged.append(file.sop_uid)
                    return
                assert status == 0xA700, f"{status:04X}"
            assert time.monotonic() < deadline, "no node takes the instance"
            time.sleep(0.05)


def held_by(orthanc: Orthanc) -> int:
    """Instances that the PACS holds; 0 when it hangs up at that very moment, as it does under load."""
    try:
        return orthanc.instance_count()
    except httpx.TransportError:
        return 0


def pause(node: Node) -> None:
    """SIGSTOP to every process of the node."""
    os.killpg(node.pid, signal.SIGSTOP)


def resume(node: Node) -> None:
    os.killpg(node.pid, signal.SIGCONT)


def sent_again(proxy: RecordingProxy) -> list[list[Store]]:
    """The C-STOREs of each instance that the PACS has got more than once."""
    stores = [proxy.of(uid) for uid in sorted(proxy.uids())]
    return [several for several in stores if sum(store.answered is not None for store in several) > 1]


def excuse_on_the_wire(proxy: RecordingProxy, before: float = math.inf) -> int:
    """An instance whose node fell silent in the middle of it may go out again: it was the last of its association.

    `before`: when the node was let go on; then it may use the association for other series. Those that were last are
    excused, any other that was sent twice stays a violation. Returns how many.
    """
    excused = 0
    until_then = [each for each in proxy.stores if each.started_at < before]
    for several in sent_again(proxy):
        for store in several[:-1]:
            of_association = [each for each in until_then if each.association == store.association]
            store.excused = store in of_association[-1:]
            excused += store.excused
    return excused
