"""PostgreSQL is stopped, hangs and is restarted under load: nothing acknowledged is lost, and no restart is needed."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
from faults.scenario import assert_kept, backlog, instances, send, send_all, send_patiently, sender_to, site
from sqlalchemy import func, select
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.postgres import PostgreSQL
from support.proxy import RecordingProxy
from support.rawfiles import RawFile
from support.series import make_ct_series

from dicomnode.db.database import Database
from dicomnode.db.models import Delivery, Instance

pytestmark = [pytest.mark.faults, pytest.mark.peers, pytest.mark.postgres, pytest.mark.timeout(900)]

COUNT = 40
BOUNDS = {"connect_timeout": 2.0, "statement_timeout": 2.0}
NAMED = {"name": "n", "lease_seconds": 5}
SOON = 60.0
"""Seconds within which anybody is answered, on a busy machine: the database stays away until they are."""


@dataclass
class Pulse:
    """Asks /healthz over and over."""

    node: Node
    answers: int = 0
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def beating(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._beat, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(0.3):
            try:
                httpx.get(f"{self.node.url}/healthz", timeout=SOON, trust_env=False).raise_for_status()
                self.answers += 1
            except httpx.HTTPError as error:
                self.failures.append(str(error))


@contextmanager
def stopped(server: PostgreSQL) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def restarted(server: PostgreSQL) -> Iterator[None]:
    """As by a crash, at once: what was under way is lost, every connection is broken."""
    server.stop(signal.SIGQUIT)
    server.start()
    yield


def hung(server: PostgreSQL) -> AbstractContextManager[None]:
    return server.hung()


def send_while_away(node: Node, files: Sequence[RawFile], seconds: float) -> dict[str, int]:
    """One after the other, spread over the time; each is answered soon: 0000, or A700. The status of each, by UID."""
    statuses = {}
    with sender_to(node, timeout=SOON) as sender:
        for file in files:
            statuses[file.sop_uid] = send(sender, file)
            time.sleep(seconds / len(files))
    assert set(statuses.values()) <= {0x0000, 0xA700}
    return statuses


def counted(database: Database, *where: object) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).where(*where)) or 0  # type: ignore[arg-type]


def command_says_so(node: Node) -> str:
    """What `series list` says while the database is away."""
    answer: subprocess.CompletedProcess[str] = node.cli("series", "list", check=False, timeout=SOON)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    return answer.stderr.splitlines()[-1]


def is_verified(node: Node) -> bool:
    """A statement may be too slow for such short bounds, on a busy machine; a broken chain stays one."""
    return bool(node.cli("audit", "verify", check=False).returncode == 0)


WAYS: dict[str, Callable[[PostgreSQL], AbstractContextManager[None]]] = {
    "stopped": stopped,
    "hung": hung,
    "restarted": restarted,
}
DELIVERED = ("sent", "verified", "committed")


def one_outage(
    server: PostgreSQL, pulse: Pulse, way: str, before: list[RawFile], during: list[RawFile], seconds: float
) -> str:
    """Under load: of `before` some is still to be indexed, completed, enhanced, sent. What the senders were told."""
    node = pulse.node
    send_all(node, before)
    with WAYS[way](server):
        statuses = send_while_away(node, during, seconds if way != "restarted" else seconds / 5)
        if way != "restarted":
            answers = pulse.answers
            node.wait_until(lambda: pulse.answers > answers + 1 or pulse.failures, SOON, "answers meanwhile")
            assert command_says_so(node).startswith("dicomnode: the database does not answer")
    send_patiently(node, [file for file in during if statuses[file.sop_uid]])
    return f"{way}: {list(statuses.values()).count(0)} of {len(during)} acknowledged meanwhile"


@pytest.mark.parametrize("form", forms(5))
def test_nothing_acknowledged_is_lost_while_postgresql_is_away(
    form: Form, tmp_path: Path, orthanc: Orthanc, record_row: RecordRow
) -> None:
    sent, seen = list[RawFile](), []
    with PostgreSQL() as server, RecordingProxy(orthanc.dicom_port) as proxy:
        database = Database(server.create())
        bounds = {"url": database.url, **BOUNDS}
        with Node(tmp_path / "node", site_yaml=site(proxy.port, forward=True), database=bounds, node=NAMED) as node:
            serve, pulse = node.pid, Pulse(node)
            for number, way in enumerate(WAYS):
                before, during = (series(tmp_path, 2 * number + seed) for seed in (0, 1))
                sent += before + during
                with pulse.beating():
                    seen.append(one_outage(server, pulse, way, before, during, form["seconds"]))
                    node.wait_until(partial(all_indexed, database, len(sent)), 60.0, f"the index to catch up, {way}")
            node.wait_until(lambda: orthanc.instance_count() == 2 * len(sent), 240.0, "everything at the PACS")
            open_ones = Delivery.state.not_in(DELIVERED)
            node.wait_until(lambda: counted(database, open_ones) == 0, 60.0, "the ledger to note the last answers")
            assert_kept(node.root / "var/store", [file.sop_uid for file in sent], sent)
            proxy.assert_no_violations()
            assert pulse.failures == []
            node.wait_until(lambda: backlog(node) == 0, 60.0, "the backlog to be none")
            node.wait_until(lambda: is_verified(node), 60.0, "the audit chain to be whole")
            assert node.pid == serve
        database.close()
    record_row(form, node=f"PostgreSQL {'; '.join(seen)}; /healthz answered {pulse.answers} times; all delivered once")


def all_indexed(database: Database, count: int) -> bool:
    return counted(database, Instance.sop_uid != "") == count


def series(folder: Path, seed: int) -> list[RawFile]:
    return instances(make_ct_series(folder / f"ct{seed}", COUNT, rows=64, seed=seed, images_in_acquisition=True))
