"""The order of system calls: bytes, then a data sync that began after them and succeeded, then the answer."""

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.scenario import ask, indexed, instances, send_all
from faults.strace_log import CALLS, answers, calls
from support.nodeproc import Node
from support.peers import storescu
from support.series import make_ct_series

from dicomnode.receive.limits import Limits

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

COUNT = 10
SENDERS = 4
CONTAINER = "/n/store/containers/n-receive0-0-1.tar"


@contextmanager
def traced(node: Node, log: Path) -> Iterator[None]:
    """Watch `serve`, its receiving processes and all their threads while the block runs."""
    pids = [node.pid, *node.receivers()]
    watched = [word for pid in pids for word in ("-p", str(pid))]
    command = ["/usr/bin/strace", "-f", "-y", "-s", "8", "-e", f"trace={CALLS}", *watched, "-o", str(log)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert all("attached" in strace.stderr.readline() for _ in pids)
        try:
            yield
        finally:  # whoever has its release answered has all answers: each was told of before its thread went on
            strace.send_signal(signal.SIGINT)


def receive(root: Path, environment: dict[str, str] | None = None) -> list[str]:
    """Let a node receive ten instances from DCMTK's storescu; returns the lines of the trace."""
    files = make_ct_series(root / "ct", COUNT, rows=64)
    with Node(root / "node", env=environment) as node, traced(node, root / "trace"):
        sent = storescu(files, node.dicom_port, node.ae_title, "MODALITY")
        assert sent.returncode == 0, sent.stderr
    return (root / "trace").read_text(encoding="utf-8", errors="replace").splitlines()


@pytest.mark.peers
def test_every_answer_follows_a_data_sync_of_its_instance(tmp_path: Path) -> None:
    log = receive(tmp_path)
    found = answers(log)
    assert len(found) == COUNT, "one C-STORE-RSP for each instance"
    assert all(answer.synced for answer in found)
    assert len({answer.socket for answer in found}) == 1
    assert not any(call.result < 0 for call in calls(log) if "/containers/" in call.file)


def received_by(node: Node) -> set[str]:
    """The receiving processes that have stored an instance."""
    names = {name for (name,) in ask(node, "SELECT container FROM instance")}
    return {process_of(name) for name in names}


def process_of(container: str) -> str:
    return Path(container).name.split("-")[-3]


def test_it_holds_in_every_process_while_associations_share_their_syncs(tmp_path: Path) -> None:
    """Senders side by side, several to a series, so that one data sync serves several; until each process had some."""
    series = [
        instances(make_ct_series(tmp_path / f"ct{seed}", SENDERS * COUNT, rows=64, seed=seed)) for seed in range(2)
    ]
    sent = 0
    with Node(tmp_path / "node", dicom={"processes": 2}) as node, traced(node, tmp_path / "trace"):
        for _ in range(5):
            with ThreadPoolExecutor(2 * SENDERS) as crowd:
                parts = [files[number::SENDERS] for files in series for number in range(SENDERS)]
                for done in [crowd.submit(send_all, node, part) for part in parts]:
                    done.result()
            sent += 2 * SENDERS * COUNT
            node.wait_until(lambda: len(indexed(node)) == 2 * SENDERS * COUNT, 60.0, "the index")
            if len(received_by(node)) == 2:
                break
    found = answers((tmp_path / "trace").read_text(encoding="utf-8", errors="replace").splitlines())
    assert len(found) == sent
    assert all(answer.synced for answer in found)
    assert {process_of(name) for answer in found for name in answer.containers} == {"receive0", "receive1"}


def test_it_holds_for_an_instance_that_streams_into_a_container_of_its_own(tmp_path: Path) -> None:
    large = instances(make_ct_series(tmp_path / "ct", 1, rows=1600))
    assert len(large[0].data_set) > Limits().memory_bytes
    with Node(tmp_path / "node") as node, traced(node, tmp_path / "trace"):
        send_all(node, large)
    (answer,) = answers((tmp_path / "trace").read_text(encoding="utf-8", errors="replace").splitlines())
    assert answer.synced


@pytest.mark.peers
def test_a_node_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """The same node, the same harness, with the sync taken out: not one answer passes."""
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant/sitecustomize.py").write_text("import os\nos.fdatasync = lambda descriptor: None\n")
    repository = Path(__file__).resolve().parents[2]
    found = answers(receive(tmp_path, {"PYTHONPATH": f"{tmp_path / 'plant'}:{repository}"}))
    assert len(found) == COUNT
    assert not any(answer.synced for answer in found)


def test_the_reader_of_traces_tells_whose_bytes_a_shared_sync_covers() -> None:
    """A sync begins between the writes of two associations: it stands for the first one's answer alone."""
    log = [line(1, WRITE), line(2, SYNC_BEGINS), line(3, WRITE), line(2, SYNC_ENDS), line(3, ANSWER), line(1, ANSWER)]
    assert [answer.synced for answer in answers(log)] == [False, True]


def line(thread: int, call: str) -> str:
    return f"{thread} {call}"


WRITE = f'writev(9<{CONTAINER}>, [{{iov_base="0.dcm\\0\\0\\0"..., iov_len=512}}], 1) = 9000'
SYNC = f"fdatasync(9<{CONTAINER}>) = 0"
SYNC_BEGINS, SYNC_ENDS = f"fdatasync(9<{CONTAINER}> <unfinished ...>", "<... fdatasync resumed>) = 0"
ANSWER = 'sendto(12<socket:[4711]>, "\\4\\0\\0\\0\\0\\202\\0\\0"..., 136, 0, NULL, 0) = 136'
OTHER = "fdatasync(7</n/dicomnode.db-wal>) = 0"


@pytest.mark.parametrize(
    ("log", "synced"),
    [
        ([line(1, WRITE), line(1, SYNC), line(1, ANSWER)], True),
        ([line(1, WRITE), line(2, SYNC_BEGINS), line(3, OTHER), line(2, SYNC_ENDS), line(1, ANSWER)], True),
        ([line(1, WRITE), line(1, ANSWER), line(1, SYNC)], False),
        ([line(2, SYNC_BEGINS), line(1, WRITE), line(2, SYNC_ENDS), line(1, ANSWER)], False),
        ([line(1, WRITE), line(2, SYNC_BEGINS), line(1, ANSWER), line(2, SYNC_ENDS)], False),
        ([line(1, WRITE), line(1, SYNC.replace("= 0", "= -1 EIO (Input/output error)")), line(1, ANSWER)], False),
        ([line(1, WRITE), line(1, OTHER), line(1, ANSWER)], False),
        ([line(1, WRITE), line(1, SYNC), line(1, WRITE), line(1, ANSWER)], False),
        ([line(1, WRITE), line(1, SYNC), line(1, WRITE.replace("0.dcm", "pixel")), line(1, ANSWER)], False),
        ([line(1, WRITE.replace("0.dcm", "0.event")), line(1, ANSWER)], False),
        ([line(1, ANSWER)], False),
    ],
    ids=["in order", "another thread syncs", "sync after the answer", "sync began before the write",
         "sync still runs", "sync failed", "another file was synced", "written again after the sync",
         "a short write went on after the sync", "an event is no instance", "nothing written"],
)  # fmt: skip
def test_the_reader_of_traces_tells_good_orders_from_bad(log: list[str], synced: bool) -> None:
    assert [answer.synced for answer in answers(log)] == [synced]
