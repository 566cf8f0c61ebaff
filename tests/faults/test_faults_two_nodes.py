"""Two nodes on one PostgreSQL and one store; one is killed, or paused past its lease, in the middle of many series."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.cluster import LEASE, Cluster, Modalities, excuse_on_the_wire, held_by, pause, resume
from faults.scenario import assert_kept, instances
from sqlalchemy import text
from support.matrix import Form, RecordRow, forms
from support.peers import Orthanc
from support.postgres import PostgreSQL
from support.proxy import RecordingProxy
from support.rawfiles import RawFile
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.peers, pytest.mark.postgres, pytest.mark.timeout(600)]

GRACE = 5.0
"""Seconds beyond the lease within which another node has taken over, on a machine of its own."""
PATIENCE = 20.0
"""Beside other tests: less than the 30 s after which PostgreSQL ends a silent transaction."""

A = "node a"
"""What the server calls its connections."""

Batches = list[list[RawFile]]


@pytest.fixture
def cluster(postgresql: PostgreSQL, orthanc: Orthanc, tmp_path: Path) -> Iterator[Cluster]:
    with postgresql.fresh() as url, RecordingProxy(orthanc.dicom_port) as proxy:
        made = Cluster(tmp_path, url, proxy)
        made.a.env["PGAPPNAME"] = A
        with made as running:
            yield running


def series(folder: Path, form: Form) -> Batches:
    return [
        instances(make_ct_series(folder / str(seed), form["slices"], rows=64, seed=seed, images_in_acquisition=True))
        for seed in range(form["series"])
    ]


def taken_over_after(cluster: Cluster) -> float:
    """Seconds until `b` looks after what `a` left, counted from now."""
    begin = time.monotonic()
    cluster.wait(lambda: cluster.heir_of(cluster.a) == "b", "another node to take over")
    return time.monotonic() - begin


def pause_between_transactions(cluster: Cluster) -> None:
    """Pause `a`, and not inside a transaction: PostgreSQL ends a silent one, but after 30 s."""
    pause(cluster.a)
    while is_inside(cluster):
        resume(cluster.a)
        time.sleep(0.01)
        pause(cluster.a)


def is_inside(cluster: Cluster) -> bool:
    """Whether a connection of the paused node's is in a transaction, once the server has read what it had sent."""
    time.sleep(0.3)
    its = f"datname = current_database() AND application_name = '{A}'"
    return bool(cluster.ask(text(f"SELECT count(*) FROM pg_stat_activity WHERE {its} AND state <> 'idle'")))


def settle(cluster: Cluster, orthanc: Orthanc, sent: Batches, resumed_at: float = math.inf) -> int:
    """All is at the PACS, nothing twice but what was on the wire, one at most over each association; returns how many.

    Each effect came once. `resumed_at`: when a paused node went on.
    """
    files = [file for batch in sent for file in batch]
    cluster.wait(lambda: held_by(orthanc) >= len(files), "all derived instances at the PACS")
    cluster.wait(lambda: cluster.unsent() == 0, "the ledger to note the last answers")
    assert_kept(cluster.root / "store", [file.sop_uid for file in files], files)
    assert cluster.complete() == len(sent)
    assert sorted(len(orthanc.sop_uids(uid)) for uid in orthanc.series()) == sorted(map(len, sent))
    on_the_wire = excuse_on_the_wire(cluster.proxy, resumed_at)
    cluster.proxy.assert_no_violations()
    for kind in ("series.complete", "enhancement.created", "enhancement.done"):
        assert set(cluster.events(kind).values()) == {1}, kind
        assert len(cluster.events(kind)) == len(sent), kind
    assert cluster.events("node.taken_over").total() >= 1  # a machine that stalls silences a node for a lease, too
    assert cluster.b.cli("audit", "verify")["ok"]
    return on_the_wire


@pytest.mark.parametrize("form", forms(23))
def test_a_node_is_killed_and_the_other_goes_on(
    cluster: Cluster, orthanc: Orthanc, tmp_path: Path, form: Form, record_row: RecordRow
) -> None:
    sent = series(tmp_path / "ct", form)
    senders = Modalities(cluster.nodes, sent)
    senders.start()
    cluster.wait(lambda: cluster.complete() >= form["series"] // 3, "a third of the series to be complete")
    cluster.a.kill9()
    after = taken_over_after(cluster)
    senders.join()
    on_the_wire = settle(cluster, orthanc, sent)
    assert after < LEASE + (GRACE if form.is_long else PATIENCE)
    words = f"{len(sent)} of {len(sent)} series at the PACS, {on_the_wire} instances sent again that were on the wire"
    record_row(form, node=f"killed: taken over after {after:.1f} s (lease {LEASE:g} s); {words}")


@pytest.mark.parametrize("form", forms(23))
def test_a_node_is_paused_past_its_lease_and_goes_on(
    cluster: Cluster, orthanc: Orthanc, tmp_path: Path, form: Form, record_row: RecordRow
) -> None:
    sent = series(tmp_path / "ct", form)
    senders = Modalities(cluster.nodes, sent)
    senders.start()
    cluster.wait(lambda: cluster.complete() >= form["series"] // 3, "a third of the series to be complete")
    pause_between_transactions(cluster)
    try:
        after = taken_over_after(cluster)
        time.sleep(LEASE)  # its workers' and its deliveries' leases run out, too, and others go on with them
    finally:
        resumed_at = time.monotonic()
        resume(cluster.a)
    cluster.wait(lambda: cluster.heir_of(cluster.a) == "", "it to give a sign of life")
    senders.join()
    on_the_wire = settle(cluster, orthanc, sent, resumed_at)
    assert after < LEASE + (GRACE if form.is_long else PATIENCE)
    assert cluster.events("node.returned").total() >= 1
    words = f"{len(sent)} of {len(sent)} series at the PACS, {on_the_wire} instances sent again that were on the wire"
    record_row(form, node=f"paused: taken over after {after:.1f} s (lease {LEASE:g} s), then resumed; {words}")
