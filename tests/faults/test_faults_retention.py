"""A small disk with `keep_free_gb`: old series make room for new ones before anybody is refused; young ones stay."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from faults.scenario import ask, events, indexed, instances, send_all
from faults.small_disk import fill, tmpfs
from sqlalchemy import update
from support.nodeproc import Node
from support.rawfiles import RawFile
from support.series import make_ct_series

from dicomnode.db.database import Database
from dicomnode.db.models import Series
from dicomnode.settings import load_settings
from dicomnode.store.disk_check import free_bytes

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

MIB = 1 << 20
KEEP_FREE = 8 * MIB
PATIENCE = 150.0
"""Seconds: what one turn of the node leaves, the next one takes, a minute later."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with tmpfs(tmp_path / "disk", "32m") as disk:
        store = {"root": str(disk / "store"), "min_free_gb": 2 * MIB / (1 << 30), "keep_free_gb": KEEP_FREE / (1 << 30)}
        with Node(tmp_path / "node", store=store) as node:
            yield node


def series(root: Path, number: int) -> list[RawFile]:
    """8 instances of half a MiB."""
    return instances(make_ct_series(root / "ct", 8, rows=512, series_number=number))


def receive(node: Node, files: list[RawFile], hours: float) -> None:
    """Send a series and wait until it is complete; then so much time goes by for it."""
    send_all(node, files)
    uid = files[0].series_uid
    whole = "SELECT 1 FROM series_facts WHERE series_uid = ? AND instance_count = ?"
    node.wait_until(lambda: ask(node, whole, uid, len(files)), 60, "the series to be complete")
    database = Database(load_settings(node.config).database.url)
    past = datetime.now(UTC) - timedelta(hours=hours)
    with database.write() as session:
        session.execute(update(Series).where(Series.uid == uid).values(last_arrival_at=past, completed_at=past))
    database.close()


def purged(node: Node) -> set[str]:
    return {uid for (uid,) in ask(node, "SELECT uid FROM series WHERE purged_at IS NOT NULL")}


def test_the_oldest_series_make_room(node: Node, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    old, older, young = (series(tmp_path, number) for number in (2, 3, 4))
    receive(node, old, hours=20)
    receive(node, older, hours=30)
    receive(node, young, hours=0.5)
    node.terminate()
    fill(disk, leave=KEEP_FREE - 2 * MIB)
    node.start()
    node.wait_until(lambda: free_bytes(disk) >= KEEP_FREE, PATIENCE, "room")
    node.wait_until(lambda: events(node, "series.purged"), 60, "it to be told")
    assert purged(node) == {older[0].series_uid}, "the oldest alone was enough"
    (message,) = events(node, "series.purged")
    assert message.startswith("8 instances and 0 derived ones gave up their bytes: free space is below")

    node.terminate()
    fill(disk, leave=KEEP_FREE - 6 * MIB)
    node.start()
    node.wait_until(lambda: len(purged(node)) == 2, PATIENCE, "more room")
    node.wait_until(lambda: free_bytes(disk) >= KEEP_FREE - 2 * MIB, PATIENCE, "the second container's room")
    assert purged(node) == {old[0].series_uid, older[0].series_uid}, "what came within the hour stays"
    new = series(tmp_path, 5)[:2]
    send_all(node, new)
    node.wait_until(lambda: {file.sop_uid for file in new} <= indexed(node), 60, "the index to have them")
    assert node.cli("doctor", "--deep")["ok"]
