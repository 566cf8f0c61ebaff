"""Sweeps of several nodes at once on one database and one store: each effect comes once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from support.databases import UNHURRIED, on
from support.flowbench import FlowBench
from support.postgres import PostgreSQL
from support.series import make_ct_series

from dicomnode.audit import chain
from dicomnode.audit.events import record
from dicomnode.audit.verification import verify
from dicomnode.db import migrate
from dicomnode.db.clock import Clock
from dicomnode.db.database import Database
from dicomnode.db.models import AuditChain, AuditEvent, Container, Series
from dicomnode.enhance.registry import Registry
from dicomnode.flow import Flow, complete_due
from dicomnode.flow.upkeep.retention import retain
from dicomnode.settings import NodeSettings, Settings, StoreSettings

pytestmark = pytest.mark.postgres

NODES = 3
LONG_AGO = Clock(-40 * 86_400.0)


@pytest.fixture
def bench(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[FlowBench]:
    with on(postgresql):
        made = FlowBench(tmp_path / "bench")
        yield made
        made.flow.database.close()


@pytest.fixture
def flows(bench: FlowBench) -> Iterator[list[Flow]]:
    """Flows of other nodes: the same database and store, connections of their own."""
    with ExitStack() as opened:
        made = []
        for number in range(NODES):
            database = Database(bench.flow.database.url, UNHURRIED)
            opened.callback(database.close)
            store = StoreSettings(root=bench.flow.root, min_free_gb=0, retention_days=30)
            settings = Settings(node=NodeSettings(name=f"n{number}"), store=store)
            made.append(Flow(database, settings, Registry.load([])))
        yield made


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """All in threads of their own: what they returned; raises the first error."""
    results: list[Any] = []
    errors: list[BaseException] = []
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> None:
        start.wait(60.0)
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def receive(bench: FlowBench, count: int) -> None:
    for seed in range(count):
        bench.receive_files(make_ct_series(bench.root / f"ct{seed}", 2, rows=16, seed=seed))


def test_a_series_that_is_due_is_completed_once(bench: FlowBench, flows: list[Flow]) -> None:
    receive(bench, 4)
    with bench.flow.database.write() as session:
        session.execute(update(Series).values(due_at=Clock(-1.0), wait_for_aet=""))
    assert sum(at_once([partial(complete_due, flow) for flow in flows])) == 4
    assert {row.generation for row in bench.series()} == {1}
    assert bench.events().count("series.complete") == 4


def test_retention_gives_up_each_series_once(bench: FlowBench, flows: list[Flow]) -> None:
    receive(bench, 4)
    bench.journal.close()
    bench.complete()
    with bench.flow.database.write() as session:
        session.execute(update(Series).values(last_arrival_at=LONG_AGO, completed_at=LONG_AGO))
    retained = at_once([partial(retain, flow) for flow in flows])
    assert sum(each.series for each in retained) == 4
    assert bench.events().count("series.purged") == 4
    for flow in flows:  # what one had to leave to another, who was at it
        retain(flow)
    assert list((bench.flow.root / "containers").iterdir()) == []
    with bench.flow.database.read() as session:
        assert session.scalar(select(func.count()).where(Container.removed_at.is_(None))) == 0


def test_the_audit_log_is_sealed_into_one_chain(flows: list[Flow]) -> None:
    def note_and_seal(flow: Flow) -> None:
        for number in range(20):
            with flow.database.write() as session:
                record(session, "node.started", str(number), node=flow.node)
            chain.seal(flow.database)

    at_once([partial(note_and_seal, flow) for flow in flows])
    assert verify(flows[0].database).ok
    with flows[0].database.read() as session:
        links, events = (session.scalar(select(func.count()).select_from(each)) for each in (AuditChain, AuditEvent))
    assert links == events


def test_nodes_that_start_at_once_migrate_once(postgresql: PostgreSQL) -> None:
    with postgresql.fresh(migrated=False) as url:
        databases = [Database(url) for _ in range(NODES)]
        at_once([partial(migrate.upgrade, database) for database in databases])
        assert {migrate.current(database) for database in databases} == {migrate.head()}
        assert migrate.drift(databases[0]) == []
        for database in databases:
            database.close()
