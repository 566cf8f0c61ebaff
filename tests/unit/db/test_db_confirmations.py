"""Who asks about which delivery, on several nodes at once; and reports that several nodes find at once."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.archive import Archive
from support.confirming import ConfirmingBench

from dicomnode.db.database import Database, now
from dicomnode.db.models import Delivery, DeliveryItem, Series
from dicomnode.db.repositories import commitments, confirmations, holds, outages
from dicomnode.flow.commitment.reports import apply_reports

REST, LEASE = 300.0, 600.0


@pytest.fixture
def bench(tmp_path: Path, database: Database) -> ConfirmingBench:
    """A node whose ledger has a series."""
    bench = ConfirmingBench(tmp_path / "node", database, Archive())
    bench.series(tmp_path / "ct", 1)
    with database.write() as session:
        row = session.get_one(Delivery, bench.delivery().id)
        session.delete(session.get_one(DeliveryItem, bench.items()[0].id))
        session.flush()
        session.delete(row)
    return bench


def add(bench: ConfirmingBench, series: str, number: int, **values: Any) -> int:
    """A delivery that was sent an hour ago and is to be asked about since. Returns its number."""
    with bench.database.write() as session:
        past = now(session) - timedelta(hours=1)
        about = {"destination": "pacs", "state": "sent", "confirm_at": past, "finished_at": past, **values}
        row = Delivery(subject=str(number), series_uid=series, rule="r", not_before=past, created_at=past, **about)
        session.add(row)
        session.flush()
        return int(row.id)


def series_of(bench: ConfirmingBench) -> str:

    with bench.database.read() as session:
        return str(session.scalars(select(Series.uid)).one())


def take(bench: ConfirmingBench, limit: int = 10, busy: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    with bench.database.read() as session:
        anything = confirmations.anything_due(session, REST, busy)
    with bench.database.write() as session:
        taken = confirmations.take(session, REST, LEASE, limit, busy)
    assert anything == bool(taken)
    return taken


def test_what_is_due_is_taken_once_and_by_destination(bench: ConfirmingBench) -> None:
    series = series_of(bench)
    first, second, other = (add(bench, series, number, destination=name) for number, name in enumerate("bba"))
    assert take(bench, busy=("b",)) == [("a", other)]
    assert take(bench) == [("b", first), ("b", second)]
    assert take(bench) == []


def test_what_is_not_due_is_left(bench: ConfirmingBench) -> None:
    series, instant = series_of(bench), datetime.now(UTC)
    add(bench, series, 1, confirm_at=None)
    add(bench, series, 2, confirm_at=instant + timedelta(seconds=REST))
    add(bench, series, 3, finished_at=instant)
    for number, state in enumerate(("pending", "sending", "verified", "committed", "failed", "cancelled"), start=4):
        add(bench, series, number, state=state)
    assert take(bench) == []


def test_a_destination_that_is_paused_or_down_is_left_alone(bench: ConfirmingBench) -> None:
    one = add(bench, series_of(bench), 1)
    with bench.database.write() as session:
        holds.hold(session, holds.DESTINATION, "pacs", "anna", "")
    assert take(bench) == []
    with bench.database.write() as session:
        holds.release(session, holds.DESTINATION, "pacs")
        row = outages.begin(session, "pacs", "network", "it is down")
        assert row is not None
        row.next_at = now(session) + timedelta(minutes=1)
    assert take(bench) == []
    with bench.database.write() as session:
        outages.end(session, "pacs")
    assert take(bench) == [("pacs", one)]


def together(count: int, what: Callable[[], None]) -> None:
    """Run it in so many threads at once; what fails in one fails the test."""
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        try:
            what()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_of_several_nodes_one_asks(bench: ConfirmingBench) -> None:
    series = series_of(bench)
    added = {add(bench, series, number) for number in range(30)}
    taken: list[int] = []

    def node() -> None:
        with bench.database.write() as session:
            found = confirmations.take(session, REST, LEASE, 5)
        while found:
            taken.extend(id for _, id in found)
            with bench.database.write() as session:
                found = confirmations.take(session, REST, LEASE, 5)

    together(4, node)
    assert sorted(taken) == sorted(added)


def test_of_several_nodes_one_applies_a_report(bench: ConfirmingBench) -> None:
    """Each delivery has lost an instance, as two reports of its one transaction say: it is sent again once."""
    series, transactions = series_of(bench), []
    for number in range(10):
        delivery = add(bench, series, number)
        with bench.database.write() as session:
            sent_at = now(session) - timedelta(minutes=1)
            for uid in ("1.1", "1.2"):
                place = {"container": "c", "offset": 0, "length": 1, "state": "sent", "sent_at": sent_at}
                session.add(
                    DeliveryItem(
                        delivery_id=delivery, sop_uid=uid, sop_class_uid="1.2", transfer_syntax_uid="1.2", **place
                    )
                )
            asked = commitments.ask(session, delivery, "pacs", "n", ["1.1", "1.2"], timedelta(minutes=1))
            transactions.append(asked.transaction_uid)
    for uid in transactions * 2:
        bench.report(uid, ["1.1"], [("1.2", 0x0112)])
    together(4, lambda: (apply_reports(bench.flow), None)[1])
    assert {(row.state, row.returns) for row in bench.deliveries()} == {("pending", 1)}
    assert [(item.state, item.confirmed_by) for item in bench.items()] == [
        ("sent", "commitment"),
        ("pending", ""),
    ] * 10
    assert all(row.applied_at for row in bench.reports())
    assert bench.kinds().count("returned") == 10


def test_a_transaction_moves_along_its_arrows_alone(bench: ConfirmingBench) -> None:
    delivery = add(bench, series_of(bench), 1)
    with bench.database.write() as session:
        first = commitments.ask(session, delivery, "pacs", "n", ["1.1"], timedelta(minutes=1)).transaction_uid
        second = commitments.ask(session, delivery, "pacs", "n", ["1.1"], timedelta(minutes=1)).transaction_uid
        assert first != second
        assert first.startswith("2.25.")
        assert commitments.move(session, first, "committed")
        assert not commitments.move(session, first, "failed")
        assert not commitments.move(session, first, "lapsed")
        assert commitments.lapse(session, delivery, "silence") == 1
        assert commitments.move(session, second, "failed", "late, and counts")
        assert commitments.asked_since(session, delivery, now(session) - timedelta(hours=1)) == 2
        assert commitments.asked_since(session, delivery, now(session) + timedelta(seconds=1)) == 0
    assert [(row.state, row.reason, row.due_at) for row in bench.transactions()] == [
        ("committed", "", None),
        ("failed", "late, and counts", None),
    ]
