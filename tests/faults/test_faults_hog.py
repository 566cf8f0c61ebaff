"""A pipeline that takes all memory, a decoder that crashes, one that is asked for 14 GiB: one series each is lost."""

import contextlib
import os
import signal
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from faults.scenario import ask, peak_resident_bytes
from faults.test_faults_poison import job, rules, send_series, write_pipeline
from faults.test_faults_poison import state as state_of
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, RLELossless
from support.mainflow import destination, enhancing, send_as_is, series_uid, site
from support.matrix import RecordRow
from support.nodeproc import Node
from support.peers import Orthanc
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.peers]

COUNT = 3
ATTEMPTS = 2
BY_COUNT = {"quiet_seconds": 60.0}
"""A series is complete by its announced count, whatever holds up its sender."""
HOG = """
import time, torch
held = [torch.ones(1 << 27, dtype=torch.uint8) for _ in range(10)]
time.sleep(600)
return slices[:, 0]
"""
"""1.25 GiB, every page of it written, and held until somebody ends it."""
LIMIT = 1 << 30
"""Here the kernel's part is played: what a machine with no more memory than that would do."""


def ended(node: Node, pipeline: str, state: str) -> bool:
    return state_of(node, pipeline) == state


def score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii"))


def workers(node: Node) -> list[int]:
    return [pid for pid, command in node.children().items() if " worker " in f"{command} "]


def the_worker(node: Node) -> int:
    """Its one worker, which is started when it listens already."""
    (worker,) = node.wait_until(lambda: workers(node), 60.0, "the worker")
    return worker


@contextmanager
def out_of_memory(node: Node) -> Iterator[list[int]]:
    """A process of the node that has `LIMIT` is killed, as by a kernel that has no more to give. Yields who was."""
    over, killed = threading.Event(), list[int]()

    def watch() -> None:
        while not over.wait(0.02):
            for pid in (node.pid, *workers(node)):
                with contextlib.suppress(OSError):
                    resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
                    if resident * os.sysconf("SC_PAGE_SIZE") > LIMIT and pid not in killed:
                        killed.append(pid)
                        os.kill(pid, signal.SIGKILL)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield killed
    finally:
        over.set()
        watcher.join()


@pytest.mark.timeout(500)
def test_a_pipeline_that_takes_all_memory(tmp_path: Path, orthanc: Orthanc, record_row: RecordRow) -> None:
    """The kernel would rather end a worker than who receives; its series is set aside, and the next one is done."""
    node = Node(
        tmp_path / "node",
        node={"name": "here"},
        site_yaml=rules(orthanc.dicom_port),
        completion=BY_COUNT,
        engine={"devices": ["cpu"], "max_attempts": ATTEMPTS, "retry_seconds": 0.2, "head_start": False},
    )
    for kind in ("segfault", "hang", "raise", "memory"):  # the rules name them
        write_pipeline(node, kind, HOG if kind == "memory" else "return slices[:, 0]")
    with node, out_of_memory(node) as killed:
        worker = the_worker(node)
        others = max(score(pid) for pid in (node.pid, *node.receivers()))
        node.wait_until(lambda: score(worker) > others, 60.0, "the worker to offer itself to the kernel")
        send_series(node, tmp_path / "hog", 1, "poison-memory")
        send_series(node, tmp_path / "good", 2, "passthrough")
        for pipeline, end in (("poison-memory", "failed"), ("passthrough", "done")):
            node.wait_until(lambda wanted=(pipeline, end): ended(node, *wanted), 200.0, f"{pipeline} to be {end}")  # type: ignore[misc]
        node.wait_until(
            lambda: orthanc.instance_count() == 3 * COUNT, 60.0, "the originals and the good series derived"
        )
        reason = job(node, "poison-memory")["reason"]
        assert reason == f"set aside after {ATTEMPTS} attempts: the worker was killed by SIGKILL"
        assert len(killed) == ATTEMPTS
        assert worker in killed
        assert peak_resident_bytes(node.pid) < LIMIT
    record_row(
        18,
        "more memory than there is",
        node=f"ended {ATTEMPTS} times, then set aside; the originals and the next series went on",
    )


def compressed(files: list[Path], syntax: str) -> list[Path]:
    for file in files:
        dataset = dcmread(file)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(file)
    return files


def swell(file: Path, side: int = 60_000) -> None:
    """Let the codestream of an image state `side` x `side` pixels (SIZ, ISO/IEC 15444-1 A.5.1); the header does not."""
    dataset: Dataset = dcmread(file)
    frame = bytearray(get_frame(dataset.PixelData, 0, number_of_frames=1))
    at = frame.index(b"\xff\x51")
    for offset in (6, 22):  # Xsiz, Ysiz and XTsiz, YTsiz
        struct.pack_into(">II", frame, at + offset, side, side)
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset.save_as(file)


def decoders(node: Node) -> list[int]:
    """Its decoding processes: children of its workers."""
    parents, found = set(workers(node)), []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if b"dicomnode.enhance.decode_child" in (entry / "cmdline").read_bytes():
                parent = int((entry / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
                found += [int(entry.name)] if parent in parents else []
    return found


@contextmanager
def crashing_decoders(node: Node, worker: int) -> Iterator[None]:
    """The decoding process that this worker has dies, and each that it starts meanwhile, before it has decoded."""
    command = ["/usr/bin/strace", "-f", "-p", str(worker), "-o", "/dev/null"]
    command += ["-e", "trace=execve", "-e", "inject=execve:signal=SIGSEGV"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        for pid in decoders(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSEGV)
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)


def state(node: Node, uid: str) -> str:
    rows = ask(node, "SELECT state FROM enhancement WHERE series_uid = ?", uid)
    return str(rows[0][0]) if rows else ""


def reason(node: Node, uid: str) -> str:
    return str(ask(node, "SELECT reason FROM enhancement WHERE series_uid = ?", uid)[0][0])


@pytest.mark.timeout(300)
def test_decoders_that_crash_or_swell(tmp_path: Path, orthanc: Orthanc, record_row: RecordRow) -> None:
    """Each costs its own series, with the reason; the node, its worker and the series behind them do not notice."""
    rule = enhancing("passthrough", forward_original_to=["pacs"])
    node = Node(
        tmp_path / "node",
        site_yaml=site([destination("pacs", "ORTHANC", orthanc.dicom_port)], [rule]),
        completion=BY_COUNT,
        engine={"devices": ["cpu"], "max_attempts": ATTEMPTS, "retry_seconds": 0.2, "head_start": False},
    )
    made = partial(make_ct_series, n=COUNT, rows=64, images_in_acquisition=True)
    swollen = compressed(made(tmp_path / "swollen", seed=1), JPEG2000Lossless)
    swell(swollen[1])
    crashing, good = (
        compressed(made(tmp_path / name, seed=seed), RLELossless) for name, seed in (("crashing", 2), ("good", 3))
    )
    with node:
        worker = the_worker(node)
        send_as_is(node, swollen)
        node.wait_until(lambda: state(node, series_uid(swollen[0])) == "failed", 60.0, "the swollen series set aside")
        assert "cannot be decoded" in reason(node, series_uid(swollen[0]))
        with crashing_decoders(node, worker):
            send_as_is(node, crashing)
            uid = series_uid(crashing[0])
            node.wait_until(lambda: state(node, uid) == "failed", 60.0, "the crashing series set aside")
        assert "SIGSEGV" in reason(node, series_uid(crashing[0]))
        send_as_is(node, good)
        node.wait_until(lambda: state(node, series_uid(good[0])) == "done", 60.0, "the good series")
        node.wait_until(lambda: orthanc.instance_count() == 4 * COUNT, 60.0, "all originals, and the good one derived")
        assert workers(node) == [worker]
        peak = peak_resident_bytes(worker) >> 20
    record_row(18, "decoders", node=f"a crash and 14 GiB asked for: one series each; the worker lived, at {peak} MiB")
