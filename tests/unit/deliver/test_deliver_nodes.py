"""Several nodes on one database: each delivery is one node's at a time, and nobody sends what is no longer his."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from support.databases import new_database
from support.scriptedpacs import Refusal, ScriptedPacs
from support.sendingbench import SendingBench

from dicomnode.db.repositories import deliveries, delivery_claims
from dicomnode.deliver import intake as intake_module
from dicomnode.deliver import keeper as keeper_module
from dicomnode.deliver import lease as lease_module
from dicomnode.deliver.answers import Answers
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.claim import Ending
from dicomnode.deliver.conclusion import Attempt, conclude
from dicomnode.deliver.intake import Intake, Taken
from dicomnode.deliver.outcome import from_status
from dicomnode.deliver.takeover import release_own

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))
SHORT = 1.0


@pytest.fixture
def bench(each_database: None, tmp_path: Path) -> Iterator[SendingBench]:
    database = new_database(tmp_path / "database")
    yield SendingBench(tmp_path / "node", database=database)
    database.close()


@pytest.fixture
def pacs() -> Iterator[ScriptedPacs]:
    with ScriptedPacs() as running:
        yield running


def claimed_by(bench: SendingBench, node: str, seconds: float = SHORT) -> Taken:
    taken = Intake(bench.database, bench.root, "pacs", node, seconds).next([])
    assert taken is not None
    return taken


def noted_by(bench: SendingBench, node: str, taken: Taken, count: int) -> None:
    """The first answers of a claim, in the node's file and not in SQL: what a kill -9 leaves.

    Each is noted while nothing waits: none is late, and waits for the transaction that is held here.
    """
    answers = Answers(bench.database, bench.root, node, "pacs", threading.Event())
    answers._committing.acquire()
    answers.recover()
    for item in taken.items[:count]:
        answers._waiting.clear()
        answers.note(item, from_status(0))


def test_two_nodes_share_what_there_is(bench: SendingBench, pacs: ScriptedPacs) -> None:
    uids = [uid for _ in range(12) for uid in bench.plan([FILE], copies=4)]
    pacs.hold_back()
    with bench.sending(pacs.port, node="a"), bench.sending(pacs.port, node="b"):
        pacs.wait_until(lambda: len(pacs.asked) == 2, "an instance of each node")
        pacs.let_go()
        bench.wait_for("sent")
    assert pacs.uids() == Counter(uids)
    assert {row.node for row in bench.deliveries()} == {"a", "b"}
    assert {row.claim for row in bench.deliveries()} == {1}


def test_a_node_that_is_gone_is_followed_by_another_with_its_answers(bench: SendingBench, pacs: ScriptedPacs) -> None:
    uids = bench.plan([FILE], copies=8)
    began = time.monotonic()
    gone = claimed_by(bench, "a")
    noted_by(bench, "a", gone, 3)
    with bench.sending(pacs.port, node="b"):
        bench.wait_for("sent")
    assert time.monotonic() - began >= SHORT / 2
    assert pacs.uids() == Counter(uids[3:])
    (event,) = bench.events("delivery.taken_over")
    assert (event.node, event.detail["from"]) == ("b", "a")
    assert [(row.node, row.claim) for row in bench.deliveries()] == [("b", 2)]


def test_a_start_frees_its_own_alone_and_knows_its_answers(bench: SendingBench, pacs: ScriptedPacs) -> None:
    uids = bench.plan([FILE], copies=4)
    bench.plan([FILE], copies=2)
    noted_by(bench, "a", claimed_by(bench, "a", 60.0), 2)
    claimed_by(bench, "b", 60.0)
    with bench.database.write() as session:
        assert release_own(session, bench.root, "a") == 1
    assert [(row.state, row.node) for row in bench.deliveries()] == [("pending", "a"), ("sending", "b")]
    with bench.sending(pacs.port, node="c"):
        bench.wait_until(lambda: bench.deliveries()[0].state == "sent", "the first to be sent")
    assert pacs.uids() == Counter(uids[2:])


def test_what_an_old_claim_comes_to_changes_nothing(bench: SendingBench) -> None:
    bench.plan([FILE], copies=2)
    old = claimed_by(bench, "a", 0.01)
    time.sleep(0.05)
    new = claimed_by(bench, "b", 60.0)
    assert (old.claimed.id, old.claimed.number + 1) == (new.claimed.id, new.claimed.number)
    for ending in Ending:
        with bench.database.write() as session:
            conclude(session, Attempt(old.claimed, "pacs", "a", 1, ending, "of old"), lambda kind, attempts: 1.0)
    (row,) = bench.deliveries()
    assert (row.state, row.node, row.reason) == ("sending", "b", "node a has not renewed its lease")


def test_a_late_answer_of_an_old_claim_still_counts(bench: SendingBench) -> None:
    """The instance that was on the wire: it is stored, whoever asks next."""
    bench.plan([FILE], copies=2)
    old = claimed_by(bench, "a", 0.01)
    answers = Answers(bench.database, bench.root, "a", "pacs", threading.Event())
    answers.recover()
    time.sleep(0.05)
    claimed_by(bench, "b", 60.0)
    answers.note(old.items[0], from_status(0))
    answers.settle()
    assert [item.state for item in bench.items()] == ["sent", "pending"]


def test_no_instance_goes_out_after_the_lease(
    bench: SendingBench, pacs: ScriptedPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a node that was stopped in the middle of a series, and goes on when its lease is long over."""
    uids = bench.plan([FILE], copies=300)
    slept = 0.0
    clock = lease_module.boot_clock

    def boot_clock() -> float:
        return clock() + slept

    monkeypatch.setattr(lease_module, "boot_clock", boot_clock)
    sender = bench.sender(pacs.port, node="a")
    pacs.slow_seconds = 0.02
    thread = threading.Thread(target=sender.send_next)
    thread.start()
    pacs.wait_until(lambda: len(pacs.asked) >= 3, "some instances")
    slept = 3600.0
    asked = len(pacs.asked)
    thread.join(60)
    assert len(pacs.asked) <= asked + 1, "what was under way"
    (row,) = bench.deliveries()
    assert (row.state, row.attempts) == ("pending", 0)
    assert "lease ran out" in row.reason
    assert pacs.uids() == Counter(uids[: len(pacs.asked)])


def test_leases_are_renewed_for_as_long_as_it_takes(
    bench: SendingBench, pacs: ScriptedPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance is on the wire for more than the lease, in steps after which a renewal is due."""
    slept, clock = 0.0, lease_module.boot_clock
    for module in (lease_module, intake_module, keeper_module):
        monkeypatch.setattr(module, "boot_clock", lambda: clock() + slept)
    uids = bench.plan([FILE], copies=5)
    pacs.hold_back()
    with (
        bench.sending(pacs.port, node="a", associations=1, lease_seconds=60.0),
        bench.sending(pacs.port, node="b", associations=1, lease_seconds=60.0),
    ):
        pacs.wait_until(lambda: pacs.asked, "the first instance")
        for _ in range(3):
            before = bench.deliveries()[0].lease_until
            slept += 25.0
            bench.wait_until(lambda before=before: bench.deliveries()[0].lease_until > before, "a renewal")
        pacs.let_go()
        bench.wait_for("sent")
    assert pacs.uids() == Counter(uids)
    assert bench.deliveries()[0].claim == 1
    assert bench.events("delivery.taken_over") == []


def test_one_node_asks_for_all_while_a_destination_is_down(bench: SendingBench, pacs: ScriptedPacs) -> None:
    for _ in range(10):
        bench.plan([FILE], copies=2)
    pacs.refusal = Refusal.CONGESTED
    backoff = Backoff(0.1, 0.4)
    with (
        bench.sending(pacs.port, node="a", backoff=backoff, associations=2),
        bench.sending(pacs.port, node="b", backoff=backoff, associations=2),
    ):
        bench.wait_until(lambda: (found := bench.outage()) and found.attempts >= 5, "five attempts")
        knocks = len(pacs.knocks)
        outage = bench.outage()
        assert outage is not None
        assert knocks <= outage.attempts + 2, "one for each step; two at the first, and one under way"
        pacs.refusal = None
        bench.wait_for("sent")
    assert set(pacs.kept.values()) == {1}
    assert len(bench.events("destination.down")) == 1


def test_renewals_of_claims_that_stand(bench: SendingBench) -> None:
    bench.plan([FILE])
    bench.plan([FILE])
    first, second = claimed_by(bench, "a", 60.0), claimed_by(bench, "b", 60.0)
    with bench.database.write() as session:
        stale = (second.claimed.id, second.claimed.number - 1)
        assert delivery_claims.renew(session, [first.claimed[:2], stale], 60.0) == {first.claimed.id}
        assert delivery_claims.standing(session, [first.claimed[:2], stale]) == {first.claimed.id}
        row = deliveries.find(session, first.claimed.id)
        assert row is not None
        row.state = "cancelled"
        session.flush()
        assert delivery_claims.renew(session, [first.claimed[:2]], 60.0) == set()
