"""Peers that cannot be asked, must not be asked, do not answer or are not there: what is left, and who is told."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from support.archive import Archive
from support.confirming import ConfirmingBench, sent
from support.databases import new_database
from support.peers import free_port

from dicomnode.db.database import Database
from dicomnode.db.models import Delivery, DeliveryItem
from dicomnode.db.repositories import commitments
from dicomnode.db.repositories.delivery_list import DeliveryFilter
from dicomnode.desk import deliveries as desk
from dicomnode.desk.person import Person
from dicomnode.flow.commitment.confirming import Confirmer, confirm_due


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Database]:
    """SQLite alone: for what is asked and answered; what depends on the database has `database`."""
    database = new_database(tmp_path / "database")
    yield database
    database.close()


def test_a_peer_that_offers_neither_is_left_at_sent_with_one_event(tmp_path: Path, lite: Database) -> None:
    with Archive(commits=False, finds=False) as archive:
        bench, _ = sent(archive, tmp_path, lite)
        assert bench.confirm()
        assert not bench.confirm()
    row = bench.delivery()
    assert (row.state, row.confirm_at) == ("sent", None)
    assert "does not take Study Root" in row.confirmation
    assert bench.kinds() == ["sent", "unconfirmed"]


@pytest.mark.parametrize(("status", "turns"), [(0xA700, 4), (0xC001, 4), (0x0124, 1)])
def test_a_query_that_fails_is_tried_a_few_times(status: int, turns: int, tmp_path: Path, lite: Database) -> None:
    with Archive(commits=False, find=status) as archive:
        bench, _ = sent(archive, tmp_path, lite, attempts=4)
        while bench.confirm():
            assert len(archive.queries) <= turns
    assert len(archive.queries) == turns
    assert f"C-FIND was answered with {status:04X}" in bench.delivery().confirmation
    assert bench.kinds() == ["sent", "unconfirmed"]


def test_a_query_that_is_answered_without_end_is_tried_a_few_times(
    tmp_path: Path, lite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.deliver.find.MOST_RESPONSES", 2)
    with Archive(commits=False) as archive:
        bench, names = sent(archive, tmp_path, lite, requests=2)
        assert len(names) == 3
        while bench.confirm():
            assert len(archive.queries) <= 2
    assert len(archive.queries) == 2
    assert "answered one C-FIND with more than 2 responses" in bench.delivery().confirmation
    assert (bench.state(), bench.kinds()) == ("sent", ["sent", "unconfirmed"])


def test_a_series_whose_query_takes_too_long_costs_the_others_no_attempt(
    tmp_path: Path, lite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.deliver.find.MOST_RESPONSES", 2)
    with Archive(commits=False) as archive:
        bench = ConfirmingBench(tmp_path / "node", lite, archive, requests=2)
        for number, count in enumerate((3, 1, 1)):
            bench.series(tmp_path / str(number), count, seed=number)
        bench.send()
        assert bench.confirm()
        assert [row.confirm_attempts for row in bench.deliveries()] == [1, 0, 0]
        while bench.confirm():
            pass
    long, *others = bench.deliveries()
    assert (long.state, long.confirm_at) == ("sent", None)
    assert "more than 2 responses" in long.confirmation
    assert [row.state for row in others] == ["verified", "verified"]


def test_one_that_is_away_is_tried_a_few_times(tmp_path: Path, database: Database) -> None:
    with Archive() as archive:
        bench, _ = sent(archive, tmp_path, database, attempts=3)
    turns = 0
    while bench.confirm():
        turns += 1
    assert turns == 3
    assert "refused" in bench.delivery().confirmation
    assert (bench.state(), bench.kinds()) == ("sent", ["sent", "unconfirmed"])
    assert bench.transactions() == [], "nothing was asked"


def test_who_is_asked_again_by_a_person_is_asked_as_at_the_beginning(tmp_path: Path, database: Database) -> None:
    anna = Person("anna", (), "command line")
    with Archive(aborts=True) as archive:
        bench, _ = sent(archive, tmp_path, database)
        assert desk.confirm(bench.flow, anna, DeliveryFilter()).done == {}, "it is still being asked"
        while bench.confirm():
            pass
        archive.aborts = False
        assert not bench.confirm()
        assert desk.confirm(bench.flow, anna, DeliveryFilter(destination="pacs")).done == {1: 3}
        bench.confirm()
    assert len(archive.asked) == 4
    assert (bench.state(), bench.kinds()) == ("committed", ["sent", "unconfirmed", "asked_again", "committed"])
    refused = desk.confirm(bench.flow, anna, [1]).refused
    assert refused == {1: "delivery 1 is committed: only of a sent one is it not known whether it is kept"}


def test_who_is_never_asked_is_not_asked_by_a_person_either(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench, _ = sent(archive, tmp_path, lite, confirm="none")
    assert "never asked" in desk.confirm(bench.flow, Person("anna", ()), [1]).refused[1]
    bench.set_site(name="another")
    assert "do not have any more" in desk.confirm(bench.flow, Person("anna", ()), [1]).refused[1]
    bench.set_site()
    bench.become_derived("outdated", "enhancement:1")
    assert "outdated" in desk.confirm(bench.flow, Person("anna", ()), [1]).refused[1]


def test_what_a_node_was_asking_when_it_was_stopped_the_next_may_ask_at_once(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench, _ = sent(archive, tmp_path, lite)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            archive.port, port = silent.getsockname()[1], archive.port
            bench.set_site()
            confirmer = Confirmer(bench.flow)
            confirmer.start()
            called, _ = silent.accept()
            confirmer.stop()
            called.close()
        assert bench.delivery().confirm_attempts == 0
        archive.port = port
        bench.set_site()
        assert confirm_due(bench.flow)
    assert bench.state() == "committed"


def test_who_insists_on_commitment_gets_no_query_and_is_never_given_up(tmp_path: Path, lite: Database) -> None:
    with Archive(commits=False) as archive:
        bench, _ = sent(archive, tmp_path, lite, confirm="commitment", attempts=2)
        for _ in range(5):
            assert bench.confirm()
    assert archive.queries == []
    assert bench.state() == "sent"
    assert bench.delivery().confirm_at is not None
    assert bench.kinds() == ["sent", "unconfirmed"], "one event is enough"


def test_who_insists_on_a_query_is_not_asked_for_commitment(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench, _ = sent(archive, tmp_path, lite, confirm="query")
        bench.confirm()
    assert (bench.state(), archive.asked) == ("verified", [])


def test_who_wants_no_confirmation_gets_none(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench, _ = sent(archive, tmp_path, lite, confirm="none")
        bench.confirm()
    assert (bench.state(), bench.delivery().confirm_at) == ("sent", None)
    assert (archive.asked, archive.queries, bench.kinds()) == ([], [], ["sent"])


def test_a_disabled_destination_is_asked_when_it_is_enabled_again(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench, _ = sent(archive, tmp_path, lite)
        bench.set_site(enabled=False)
        bench.confirm()
        assert (bench.state(), bench.delivery().confirmation) == ("sent", "the destination is disabled")
        bench.set_site()
        bench.confirm()
    assert bench.state() == "committed"


def test_a_destination_that_is_gone_from_the_site_data_is_not_asked(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench, _ = sent(archive, tmp_path, lite)
        archive.port, port = free_port(), archive.port
        bench.set_site(name="another")
        bench.confirm()
        archive.port = port
    assert (bench.state(), bench.delivery().confirm_at) == ("sent", None)
    assert archive.asked == []


def test_one_that_aborts_whatever_it_is_asked_is_left_after_three_rounds(tmp_path: Path, lite: Database) -> None:
    with Archive(aborts=True) as archive:
        bench, _ = sent(archive, tmp_path, lite)
        while bench.confirm():
            assert len(archive.queries) <= 3
    assert (len(archive.asked), len(archive.queries)) == (3, 3)
    assert [row.state for row in bench.transactions()] == ["lapsed"] * 3
    assert (bench.state(), bench.delivery().confirm_at) == ("sent", None)
    assert "did not answer C-FIND: the peer aborted" in bench.delivery().confirmation
    assert bench.kinds() == ["sent", "unconfirmed"]


def test_a_destination_that_does_not_answer_holds_up_no_other(tmp_path: Path, lite: Database) -> None:
    """It takes the connection and says nothing; the other one has committed long before that is over."""
    with socket.create_server(("127.0.0.1", 0)) as mute, Archive() as archive:
        bench = ConfirmingBench(tmp_path / "node", lite, archive)
        port = mute.getsockname()[1]
        slow = {"name": "a slow one", "kind": "dimse", "ae_title": "SLOW", "host": "127.0.0.1", "port": port}
        bench.set_site(others=[slow])
        bench.series(tmp_path / "one", seed=1)
        bench.series(tmp_path / "two", seed=2)
        with lite.write() as session:
            first = session.scalars(select(Delivery).order_by(Delivery.id)).first()
            assert first is not None
            first.destination, first.state, first.confirm_at = "a slow one", "sent", datetime(2026, 1, 1, tzinfo=UTC)
            first.finished_at = first.confirm_at
            session.execute(update(DeliveryItem).where(DeliveryItem.delivery_id == first.id).values(state="sent"))
        bench.send()
        loop = Confirmer(bench.flow)
        loop.start()
        try:
            bench.wait_until(lambda: bench.deliveries()[1].state == "committed", "the one that answers")
            assert next(iter(bench.deliveries())).confirmation == "", "the other one is still waited for"
        finally:
            loop.stop()
        assert not any(asking.is_alive() for asking in loop._asking.values()), "what is waited for ends with the node"


def test_a_node_that_died_while_it_asked_is_replaced(tmp_path: Path, lite: Database) -> None:
    """Its claim ends by itself; what it had asked is asked anew, and the answer to either counts."""
    with Archive(report="never") as archive:
        bench, sent_uids = sent(archive, tmp_path, lite, same_association_seconds=0)
        with lite.write() as session:
            row = bench.delivery()
            dead = commitments.ask(session, row.id, "pacs", "another", sent_uids, timedelta(minutes=1))
        bench.confirm()
        assert [row.state for row in bench.transactions()] == ["lapsed", "asked"]
        bench.report(dead.transaction_uid, sent_uids)
        bench.confirm()
    assert bench.state() == "committed"
    assert [row.node for row in bench.transactions()] == ["another", "n"]
