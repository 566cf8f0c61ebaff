"""Four associations to one PACS through the recording proxy: no lost response, no second send, whatever happens."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.scenario import excuse
from support.peers import StoreScp
from support.proxy import RecordingProxy
from support.sendingbench import SendingBench
from support.series import make_mr_series

from dicomnode.deliver.takeover import release_own

pytestmark = pytest.mark.peers

ASSOCIATIONS = 4
ROUNDS = int(os.environ.get("DICOMNODE_KILL_SENDER_ROUNDS", "4"))


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mr_series(tmp_path_factory.mktemp("mr"), 1, rows=64)[0]


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingProxy]:
    """In front of a storescp that discards, a process for each association."""
    monkeypatch.setenv("TCP_NODELAY", "1")
    with StoreScp(tmp_path / "pacs", "--ignore", "--fork") as pacs, RecordingProxy(pacs.port) as running:
        yield running


def wait_sent(bench: SendingBench, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while {row.state for row in bench.deliveries()} != {"sent"}:
        assert time.monotonic() < deadline, [(row.state, row.reason) for row in bench.deliveries()]
        time.sleep(0.02)


def assert_each_once(bench: SendingBench, proxy: RecordingProxy, uids: list[str]) -> None:
    """Everything is there, with one content; what was sent twice had no answer."""
    proxy.assert_no_violations()
    assert proxy.uids() == set(uids)
    assert {item.state for item in bench.items()} == {"sent"}


def test_no_response_is_lost_in_thousands(instance: Path, proxy: RecordingProxy, tmp_path: Path) -> None:
    bench = SendingBench(tmp_path / "node")
    uids = [uid for count in (2500, 1, 40, 1500) for uid in bench.plan([instance], copies=count)]
    sender = bench.sender(proxy.port, associations=ASSOCIATIONS)
    sender.start()
    wait_sent(bench)
    sender.stop()
    sender.join(60)
    assert_each_once(bench, proxy, uids)
    assert len(proxy.stores) == len(uids)
    used = Counter(store.association for store in proxy.stores)
    assert len([association for association, count in used.items() if count > 100]) >= ASSOCIATIONS
    for association in used:
        ids = [store.message_id for store in proxy.stores if store.association == association]
        assert ids == list(range(1, len(ids) + 1))


def test_cuts_cost_the_unanswered_alone(instance: Path, proxy: RecordingProxy, tmp_path: Path) -> None:
    bench = SendingBench(tmp_path / "node")
    uids = bench.plan([instance], copies=1500)
    sender = bench.sender(proxy.port, associations=ASSOCIATIONS)
    draw = random.Random(4)
    for number in range(6):
        with proxy._lock:  # meanwhile no response is seen, so none is that one already
            proxy.faults.cut_instead_of_response = proxy.responses_seen + draw.randint(2, 20)
        if number == 0:
            sender.start()
        time.sleep(draw.uniform(0.05, 0.2))
    wait_sent(bench)
    sender.stop()
    sender.join(60)
    assert_each_once(bench, proxy, uids)
    sends = Counter(store.sop_instance_uid for store in proxy.stores)
    unanswered = {store.sop_instance_uid for store in proxy.stores if store.status is None}
    assert {uid for uid, count in sends.items() if count > 1} == unanswered
    assert unanswered


def test_kill_9_costs_one_instance_of_each_association(instance: Path, proxy: RecordingProxy, tmp_path: Path) -> None:
    """A process with a sender of its own, killed again and again in the middle."""
    bench = SendingBench(tmp_path / "node")
    uids = bench.plan([instance], copies=3000)
    draw = random.Random(9)
    for _ in range(ROUNDS):
        before = len(proxy.stores)
        child = start_sender(tmp_path / "node", proxy.port)
        while len(proxy.stores) < before + 30 and len(proxy.uids()) < len(uids):
            assert child.poll() is None, "the sender ended by itself"
            time.sleep(0.005)
        time.sleep(draw.uniform(0.0, 0.15))
        with proxy._lock:
            were_open = set(proxy._sockets)
        child.send_signal(signal.SIGKILL)
        child.wait(60)
        excuse(proxy, were_open)
        release_interrupted(bench)
    child = start_sender(tmp_path / "node", proxy.port)
    wait_sent(bench)
    child.terminate()
    child.wait(60)
    assert_each_once(bench, proxy, uids)
    assert len(proxy.stores) - len(uids) <= ASSOCIATIONS * ROUNDS


def release_interrupted(bench: SendingBench) -> None:
    """What a node does at its start."""
    with bench.database.write() as session:
        release_own(session, bench.root, "n")


def start_sender(root: Path, port: int) -> "subprocess.Popen[bytes]":
    """A process that sends what is due in the ledger under `root`, until it is ended."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    command = [sys.executable, __file__, str(root), str(port)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})


def _serve(root: Path, port: int) -> None:
    sender = SendingBench(root, made=True).sender(port, associations=ASSOCIATIONS)
    sender.start()
    sender.join()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
