"""The order of system calls: bytes, then a data sync that began after them and succeeded, then the answer."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.strace_log import CALLS, answers, calls
from support.nodeproc import Node
from support.peers import storescu
from support.series import make_ct_series

pytestmark = pytest.mark.faults

COUNT = 10
CONTAINER = "/n/store/containers/n-main-1.tar"


@contextmanager
def traced(node: Node, log: Path) -> Iterator[None]:
    """Watch `serve` and all its threads while the block runs."""
    command = ["/usr/bin/strace", "-f", "-y", "-s", "8", "-e", f"trace={CALLS}", "-p", str(node.pid), "-o", str(log)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        try:
            yield
        finally:
            time.sleep(0.3)
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


@pytest.mark.peers
def test_a_node_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """The same node, the same harness, with the sync taken out: not one answer passes."""
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant/sitecustomize.py").write_text("import os\nos.fdatasync = lambda descriptor: None\n")
    repository = Path(__file__).resolve().parents[2]
    found = answers(receive(tmp_path, {"PYTHONPATH": f"{tmp_path / 'plant'}:{repository}"}))
    assert len(found) == COUNT
    assert not any(answer.synced for answer in found)


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
