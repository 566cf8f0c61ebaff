"""What the dead left: begun instances are swept, associations closed once the index has read all, whoever died."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update
from support.databases import new_database, on
from support.postgres import PostgreSQL

from dicomnode.db.clock import Clock
from dicomnode.db.database import Database
from dicomnode.db.models import Association, NodeRow
from dicomnode.enhance.registry import Registry
from dicomnode.flow import Flow
from dicomnode.flow.upkeep.estates import Estates, Opened
from dicomnode.flow.upkeep.membership import Membership
from dicomnode.receive.supervisor import Death
from dicomnode.settings import NodeSettings, Settings, StoreSettings
from dicomnode.store.index import Indexer
from dicomnode.store.journal import Journal

pytestmark = pytest.mark.postgres
LEASE = 600.0


@pytest.fixture
def flow(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[Flow]:
    """Of the node that inherits."""
    with on(postgresql):
        settings = Settings(node=NodeSettings(name="heir"), store=StoreSettings(root=tmp_path / "store", min_free_gb=0))
        yield Flow(new_database(tmp_path), settings, Registry.load([tmp_path / "none"]))


def opened_by(journal: Journal, number: int) -> None:
    """An association began, as a receiving process notes it."""
    who = {"calling_aet": "CT1", "called_aet": "NODE", "peer": "127.0.0.1"}
    at = datetime.now(UTC).isoformat()
    journal.note({"event": "association-opened", "association": f"{journal.boot}-{number}", "at": at, **who}, sync=True)


def begun(journal: Journal) -> Path:
    """An instance that was cut off while it streamed in."""
    path = journal._root / "containers" / f"{journal._stem}-000099.tar"
    path.write_bytes(bytes(1000))
    return path


def associations(database: Database) -> dict[str, str]:
    with database.read() as session:
        return {row.id: row.outcome for row in session.scalars(select(Association))}


def indexer(flow: Flow, membership: Membership) -> Indexer:
    return Indexer(
        flow.root, flow.node, flow.database, lambda session, arrivals: None, lambda first, second: True,
        looks_after=membership.looks_after,
    )  # fmt: skip


def silence(database: Database, name: str) -> None:
    with database.write() as session:
        session.execute(update(NodeRow).where(NodeRow.name == name).values(seen_at=Clock(-LEASE - 1)))


def test_the_estate_of_a_dead_node(flow: Flow) -> None:
    dead, other = (Journal(flow.root, name, "receive0", min_free_gb=0) for name in ("dead-one", "other"))
    for journal in (dead, other):
        opened_by(journal, 1)
    left, not_left = begun(dead), begun(other)
    for name in ("dead-one", "other"):
        Membership(flow.database, name, "b0", "s", LEASE).enter(())
    silence(flow.database, "dead-one")
    membership = Membership(flow.database, flow.node, "b1", "s", LEASE)
    membership.enter(())
    estates, index = Estates(flow, membership), indexer(flow, membership)
    opened = estates.open()
    assert (left.exists(), not_left.exists()) == (False, True)
    index.run()
    assert associations(flow.database) == {f"{dead.boot}-1": "open"}
    estates.settle(opened)
    assert associations(flow.database) == {f"{dead.boot}-1": "lost: the node stopped"}
    assert estates.open() == Opened()


def test_the_estate_of_a_receiving_process(flow: Flow) -> None:
    membership = Membership(flow.database, flow.node, "b1", "s", LEASE)
    membership.enter(())
    dead, alive = (Journal(flow.root, flow.node, f"receive{number}", min_free_gb=0) for number in (0, 1))
    for journal in (dead, alive):
        opened_by(journal, 1)
    left, not_left = begun(dead), begun(alive)
    estates, index = Estates(flow, membership), indexer(flow, membership)
    estates.receiver_died(Death(0, dead.boot, "was killed by SIGKILL", 1))
    opened = estates.open()
    index.run()
    estates.settle(opened)
    assert (left.exists(), not_left.exists()) == (False, True)
    found = associations(flow.database)
    assert found[f"{dead.boot}-1"].startswith("lost:")
    assert found[f"{alive.boot}-1"] == "open"
    assert estates.open() == Opened()
