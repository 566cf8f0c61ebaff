"""Another process holds the database's write lock: what was acknowledged waits in its containers, and then drains."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.scenario import ask, assert_kept, backlog, indexed, instances, send_all, site
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.peers, pytest.mark.timeout(240)]

COUNT = 15


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold SQLite's only write lock while the block runs."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=30.0)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@pytest.mark.parametrize("form", forms(5))
def test_nothing_acknowledged_is_lost_while_the_database_is_locked(
    form: Form, tmp_path: Path, orthanc: Orthanc, record_row: RecordRow
) -> None:
    """Receiving goes on during the lock, with originals and a derived series on their way; no restart."""
    with RecordingProxy(orthanc.dicom_port) as proxy:
        completion = {"quiet_seconds": 60.0}  # complete by its announced count, whatever holds up its sender
        node = Node(tmp_path / "node", site_yaml=site(proxy.port, forward=True), completion=completion)
        with node:
            serve = node.pid
            batches = [
                instances(make_ct_series(tmp_path / f"ct{seed}", COUNT, rows=64, seed=seed, images_in_acquisition=True))
                for seed in range(4)
            ]
            send_all(node, batches[0])
            node.wait_until(lambda: len(proxy.stores) >= 3, 60.0, "originals on their way to the PACS")
            with locked(node.root / "var/dicomnode.db"):
                begin = time.monotonic()
                before = len(indexed(node))
                for batch in batches[1:]:  # who waited for the database would get no answer before the lock ends
                    send_all(node, batch)
                answered = time.monotonic() - begin
                assert len(indexed(node)) == before
                time.sleep(max(0.0, form["seconds"] - answered))
            files = [file for batch in batches for file in batch]
            node.wait_until(lambda: len(indexed(node)) == len(files), 60.0, "the index to catch up")
            assert_kept(node.root / "var/store", [file.sop_uid for file in files], files)
            node.wait_until(lambda: orthanc.instance_count() == 2 * len(files), 60.0, "everything at the PACS")
            query = "SELECT count(*) FROM delivery WHERE finished_at IS NULL"
            node.wait_until(lambda: ask(node, query) == [(0,)], 60.0, "the ledger to note the last answers")
            proxy.assert_no_violations()
            node.wait_until(lambda: backlog(node) == 0, 60.0, "the backlog to be counted down to nothing")
            assert node.pid == serve
            assert node.cli("audit", "verify")["ok"]
    taken = sum(map(len, batches[1:]))
    record_row(
        form, node=f"{taken} acknowledged in {answered:.1f} s of the lock, all indexed and delivered once after it"
    )
