"""A disk that is really full, under the store, the database or both: A700, and all goes on when there is room.

Never a restart: the process that met ENOSPC is the one that drains.
"""

import time
from pathlib import Path

import pytest
from faults.scenario import (
    ask,
    assert_kept,
    backlog,
    events,
    indexed,
    instances,
    send,
    send_all,
    send_patiently,
    sender_to,
    site,
)
from faults.small_disk import fill, make_room, tmpfs
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.rawfiles import RawFile
from support.series import make_ct_series

from dicomnode.domain.states import DELIVERED

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

A700 = 0xA700
MOST_TRIES = 50
"""From the moment there is room until an instance is taken: the promise is five seconds, and who is refused waits a
tenth of one. Counted, not timed: what holds up the machine holds up who tries as well."""


def series(root: Path, count: int, seed: int, rows: int = 64) -> list[RawFile]:
    return instances(make_ct_series(root / f"ct{seed}", count, rows=rows, seed=seed, images_in_acquisition=True))


def send_until_refused(node: Node, files: list[RawFile], pause: float = 0.0) -> list[RawFile]:
    """Send until A700; returns what was acknowledged before. No other answer may come."""
    taken: list[RawFile] = []
    with sender_to(node) as sender:
        for file in files:
            status = send(sender, file)
            assert status in (0x0000, A700), f"{status:04X}"
            if status == A700:
                assert sender.error_comment
                return taken
            taken.append(file)
            time.sleep(pause)
    pytest.fail(f"all {len(files)} instances were taken: the disk was never full")


def assert_taken_soon(node: Node, file: RawFile) -> None:
    """Send one instance again and again until it is taken."""
    with sender_to(node) as sender:
        for _ in range(MOST_TRIES):
            if (status := send(sender, file)) == 0x0000:
                return
            assert status == A700
            time.sleep(0.1)
    pytest.fail("nothing is taken although there is room")


def assert_drained(node: Node, sent: list[RawFile]) -> None:
    """All that was acknowledged is in the store and in the index, the audit log holds, and the process is the same."""
    wanted = {file.sop_uid for file in sent}
    node.wait_until(lambda: wanted <= indexed(node), 60.0, "the index to catch up")
    assert_kept(node.root / str(node.settings["store"]["root"]), wanted, sent)
    node.wait_until(lambda: backlog(node) == 0, 60.0, "the backlog to be counted down to nothing")
    assert node.cli("audit", "verify")["ok"]


def test_the_store_on_the_full_disk(tmp_path: Path) -> None:
    """Refused instances leave nothing behind; a sender hears A700, and the audit log hears of each."""
    with tmpfs(tmp_path / "disk", "3m") as disk:
        node = Node(tmp_path / "node", store={"root": str(disk / "store"), "min_free_gb": 0})
        with node:
            serve = node.pid
            files = series(tmp_path, 40, seed=1, rows=128)
            fill(disk, leave=400_000)
            taken = send_until_refused(node, files)
            assert taken
            fill(disk)  # not even an event finds room now
            with sender_to(node) as sender:
                assert [send(sender, file) for file in files[-3:]] == [A700] * 3
            assert_kept(disk / "store", [file.sop_uid for file in taken], files)
            make_room(disk)
            assert_taken_soon(node, files[len(taken)])
            send_all(node, files)
            assert_drained(node, files)
            node.wait_until(
                lambda: len(events(node, "instance.refused")) >= 4, 60.0, "the audit log to tell of every A700"
            )
            node.wait_until(lambda: all_closed(node), 60.0, "the audit log to tell of the end of every association")
            assert node.pid == serve


@pytest.mark.parametrize("bound", [20, 10_000], ids=["the backlog is bounded", "the index stalls"])
def test_the_database_on_the_full_disk(tmp_path: Path, bound: int) -> None:
    """Acknowledged instances wait in their containers until the index can be written again."""
    with tmpfs(tmp_path / "disk", "8m") as disk:
        store = {"root": str(tmp_path / "store"), "min_free_gb": 0, "max_backlog": bound}
        node = Node(tmp_path / "node", database={"url": f"sqlite:///{disk / 'node.db'}"}, store=store)
        with node:
            serve = node.pid
            before = series(tmp_path, 5, seed=1)
            send_all(node, before)
            files = series(tmp_path, 400, seed=2, rows=16)
            fill(disk)
            taken = send_until_refused(node, files, pause=0.0 if bound == 20 else 0.1)
            assert taken, "the database holds nothing up before the backlog is full"
            make_room(disk)
            assert_taken_soon(node, files[len(taken)])
            send_patiently(node, files)
            assert_drained(node, before + files)
            assert node.pid == serve


@pytest.mark.peers
def test_store_and_database_on_the_full_disk(tmp_path: Path, orthanc: Orthanc) -> None:
    """As it is set up by default. What was being derived and sent goes on too, each instance once."""
    with RecordingProxy(orthanc.dicom_port) as proxy, tmpfs(tmp_path / "disk", "16m") as disk:
        node = Node(
            tmp_path / "node",
            site_yaml=site(proxy.port, forward=True),
            database={"url": f"sqlite:///{disk / 'node.db'}"},
            store={"root": str(disk / "store"), "min_free_gb": 0},
            engine={"devices": ["cpu"], "retry_seconds": 0.5, "head_start": False},  # it gives up room when it likes
        )
        with node:
            serve = node.pid
            files = series(tmp_path, 60, seed=1, rows=128)
            send_all(node, files[:20])
            node.wait_until(lambda: len(proxy.stores) >= 5, 60.0, "originals on their way to the PACS")
            fill(disk)
            time.sleep(3.0)
            more = series(tmp_path, 30, seed=2, rows=128)
            taken = send_until_refused(node, more)
            make_room(disk)
            assert_taken_soon(node, more[len(taken)])
            send_all(node, files[20:] + more)
            assert_drained(node, files + more)
            total = 2 * (len(files) + len(more))
            node.wait_until(lambda: orthanc.instance_count() == total, 60.0, f"{total} instances at the PACS")
            node.wait_until(lambda: not unfinished(node), 60.0, "the ledger to note the last answers")
            proxy.assert_no_violations()
            assert node.pid == serve


def test_a_job_waits_for_room(tmp_path: Path) -> None:
    """No room for what a job stages is no fault of the work: it is not set aside, however often it was tried."""
    with tmpfs(tmp_path / "disk", "4m") as disk:
        node = Node(
            tmp_path / "node",
            site_yaml=site(1),
            completion={"quiet_seconds": 60.0},  # complete by its announced count, whatever holds up its sender
            store={"root": str(disk / "store"), "min_free_gb": 0},
            engine={"devices": ["cpu"], "retry_seconds": 0.1, "max_attempts": 1, "head_start": False},
        )
        with node:
            node.cli("jobs", "pause")  # a quick worker would be done before the disk is full
            send_all(node, series(tmp_path, 10, seed=1, rows=128))
            node.wait_until(lambda: ask(node, "SELECT id FROM enhancement"), 60.0, "the job")
            fill(disk)
            node.cli("jobs", "resume")
            query = "SELECT state, reason FROM enhancement WHERE attempt >= 3"
            node.wait_until(lambda: ask(node, query), 60.0, "three attempts without room")
            node.wait_until(
                lambda: any(reason.startswith("waits for room") for _, reason in ask(node, query)), 60.0, "a reason"
            )
            make_room(disk)
            node.wait_until(
                lambda: ask(node, "SELECT state FROM enhancement") == [("done",)], 60.0, "the job to be done"
            )
            assert ask(node, "SELECT count(*) FROM output") == [(10,)]


def all_closed(node: Node) -> bool:
    """Whether the audit log has an end for each association that it has a beginning of. Seen at one moment."""
    query = "SELECT sum(kind = 'association.opened') = sum(kind = 'association.closed') FROM audit_event"
    return bool(ask(node, query)[0][0])


def unfinished(node: Node) -> list[tuple[str, str]]:
    """Deliveries and enhancements that are not at a good end."""
    query = "SELECT 'delivery', state FROM delivery UNION ALL SELECT 'enhancement', state FROM enhancement"
    return [(kind, state) for kind, state in ask(node, query) if state not in (*DELIVERED, "done")]
