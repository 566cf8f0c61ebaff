"""Deliveries held against a plain model, on both databases: whatever nodes, leases, destinations and operators do, and
in whatever order, one claim counts at a time, what was stored is never sent again, and nothing is lost."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import booleans, integers, sampled_from
from sqlalchemy import delete, select, update
from support.sendingbench import SendingBench

from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, Delivery, DeliveryItem, Hold, Outage
from dicomnode.db.repositories import deliveries, holds
from dicomnode.db.repositories.deliveries import Answer
from dicomnode.deliver.claim import Ending
from dicomnode.deliver.conclusion import Attempt, conclude
from dicomnode.deliver.intake import Intake, Taken
from dicomnode.deliver.orders import cancel, requeue
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.deliver.takeover import release_own
from dicomnode.domain.instance import Location

NODES = ("a", "b")
PAST = datetime(2000, 1, 1, tzinfo=UTC)
LONG = 3600.0
ANSWERS = {"sent": 0x0000, "failed": 0xC000, "pending": None}
SERIES = "1.2.1"
"""There is one for all."""

index = integers(0, 50)


@dataclass(frozen=True)
class Numbered(Subject):
    """One of several things of the same series."""

    number: str = ""

    def __str__(self) -> str:
        return f"subject:{self.number}"


@dataclass
class Planned:
    """What the model knows of a delivery."""

    priority: int
    items: dict[str, str] = field(default_factory=dict)
    state: str = "pending"
    claim: int = 0
    node: str = ""
    waits: bool = False
    """For its own back-off."""
    lapsed: bool = False

    def frees(self) -> None:
        self.state, self.lapsed = "pending", False

    def open(self) -> bool:
        return "pending" in self.items.values()


@dataclass
class Hand:
    """A claim that some node believes to have."""

    node: str
    taken: Taken
    answered: int = 0
    tried: set[str] = field(default_factory=set)


class DeliveriesAgainstModel(RuleBasedStateMachine):
    """Each rule does the same to the tables and to the model; after each the two are compared."""

    bench: SendingBench

    def __init__(self) -> None:
        super().__init__()
        self.planned: dict[int, Planned] = {}
        self.hands: list[Hand] = []
        self.paused = False
        self.outage = ""
        with self.database.write() as session:
            for model in (DeliveryItem, Delivery, Hold, Outage, AuditEvent):
                session.execute(delete(model))

    @property
    def database(self) -> Database:
        return self.bench.database

    @initialize(node=sampled_from(NODES))
    def there_is_work(self, node: str) -> None:
        self.plan(3, 1)
        self.plan(2, 0)
        self.claim(node)

    @precondition(lambda self: len(self.planned) < 4)
    @rule(count=integers(1, 3), priority=integers(0, 2))
    def plan(self, count: int, priority: int) -> None:
        id = self._plan(f"{len(self.planned) + 1}", range(count), priority)
        self.planned[id] = Planned(priority, {f"{len(self.planned) + 1}.{n}": "pending" for n in range(count)})

    @precondition(lambda self: self.planned)
    @rule(index=index)
    def an_instance_joins(self, index: int) -> None:
        id = sorted(self.planned)[index % len(self.planned)]
        row = self.planned[id]
        subject = next(iter(row.items)).split(".")[0]
        self._plan(subject, [len(row.items)], row.priority)
        row.items[f"{subject}.{len(row.items)}"] = "pending"
        if row.state in ("sent", "failed"):
            row.state, row.waits = "pending", False

    def _plan(self, number: str, numbers: "range | list[int]", priority: int) -> int:
        subject = Numbered(SERIES, SERIES, number=number)
        sendables = [Sendable(f"{number}.{n}", "1.2", "1.2", Location("made.tar", n, 1)) for n in numbers]
        with self.database.write() as session:
            plan_delivery(session, "pacs", subject, sendables, rule="r", node="a", now=PAST, priority=priority)
            found = deliveries.by_subject(session, "pacs", str(subject))
            assert found is not None
            return found.id

    @rule(node=sampled_from(NODES))
    def claim(self, node: str) -> None:
        own = [hand.taken.claimed.id for hand in self.hands if hand.node == node]
        taken = Intake(self.database, self.bench.root, "pacs", node, LONG).next(own)
        for id, row in self.planned.items():
            if row.lapsed and id not in own:
                row.frees()
        may = {id: row.priority for id, row in self.planned.items() if row.state == "pending" and not row.waits}
        in_hand = any(row.state == "sending" for row in self.planned.values())
        if self.paused or self.outage == "rests" or (self.outage and in_hand) or not may:
            assert taken is None
            return
        assert taken is not None
        id, number, priority, _ = taken.claimed
        assert priority == may[id] == min(may.values())
        row = self.planned[id]
        assert number == row.claim + 1, "claims are numbered"
        assert taken.is_probe == bool(self.outage)
        assert {item.sop_uid for item in taken.items} == {uid for uid, state in row.items.items() if state == "pending"}
        row.state, row.claim, row.node = "sending", number, node
        self.hands.append(Hand(node, taken))

    @precondition(lambda self: self.hands)
    @rule(index=index, state=sampled_from(sorted(ANSWERS)))
    def answer(self, index: int, state: str) -> None:
        hand = self.hands[index % len(self.hands)]
        row = self.planned[hand.taken.claimed.id]
        item = next((item for item in hand.taken.items if item.sop_uid not in hand.tried), None)
        if item is None:
            return
        hand.tried.add(item.sop_uid)
        hand.answered += state != "pending"
        with self.database.write() as session:
            before = session.get_one(DeliveryItem, item.id)
            counts = before.state == "pending" and before.attempts < item.attempts + 1
            answer = Answer(item.id, item.sop_uid, state, ANSWERS[state], "said", item.attempts + 1)
            deliveries.record_answers(session, [answer])
        if counts:
            row.items[item.sop_uid] = state

    @precondition(lambda self: self.hands)
    @rule(index=index, ending=sampled_from(list(Ending)))
    def conclude(self, index: int, ending: Ending) -> None:
        hand = self.hands.pop(index % len(self.hands))
        claimed, row = hand.taken.claimed, self.planned[hand.taken.claimed.id]
        attempt = Attempt(claimed, "pacs", hand.node, hand.answered, ending, "why", was_probe=hand.taken.is_probe)
        with self.database.write() as session:
            conclude(session, attempt, lambda kind, attempts: LONG)
        if hand.answered and ending is not Ending.RESOURCES:
            self.outage = ""
        if row.state != "sending" or row.claim != claimed.number:
            return
        row.lapsed = False
        if not row.open():
            row.state = "failed" if "failed" in row.items.values() else "sent"
            return
        row.state = "pending"
        if ending in (Ending.NOTHING, Ending.INTERRUPTED):
            return
        if attempt.blames_destination:
            if not self.outage or hand.taken.is_probe:
                self.outage = "rests"
        else:
            row.waits = True

    @rule()
    def time_passes(self) -> None:
        """Whatever waits has waited."""
        with self.database.write() as session:
            session.execute(update(Outage).values(next_at=PAST))
            session.execute(update(Delivery).where(Delivery.state == "pending").values(not_before=PAST))
        self.outage = "asks" if self.outage else ""
        for row in self.planned.values():
            row.waits = row.waits and row.state != "pending"

    @precondition(lambda self: any(row.state == "sending" for row in self.planned.values()))
    @rule(index=index)
    def a_lease_runs_out(self, index: int) -> None:
        sending = sorted(id for id, row in self.planned.items() if row.state == "sending")
        id = sending[index % len(sending)]
        with self.database.write() as session:
            session.execute(update(Delivery).where(Delivery.id == id).values(lease_until=PAST))
        self.planned[id].lapsed = True

    @precondition(lambda self: self.hands)
    @rule(index=index, node=sampled_from(NODES))
    def another_takes_over(self, index: int, node: str) -> None:
        """And who had it before may still believe that he has."""
        if any(row.state == "sending" for row in self.planned.values()):
            self.a_lease_runs_out(index)
        self.claim(node)

    @rule(node=sampled_from(NODES))
    def a_node_starts_anew(self, node: str) -> None:
        with self.database.write() as session:
            release_own(session, self.bench.root, node)
        self.hands = [hand for hand in self.hands if hand.node != node]
        for row in self.planned.values():
            if row.state == "sending" and row.node == node:
                row.frees()

    @precondition(lambda self: self.planned)
    @rule(index=index, again=booleans())
    def an_operator_orders(self, index: int, again: bool) -> None:
        id = sorted(self.planned)[index % len(self.planned)]
        row, possible = self.planned[id], ("failed", "cancelled") if again else ("pending", "sending", "failed")
        with self.database.write() as session:
            found = deliveries.lock(session, id)
            assert found is not None
            if row.state not in possible:
                with pytest.raises(ValueError, match=f"delivery {id} is {row.state}"):
                    (requeue if again else cancel)(session, found, "op", "a")
                return
            (requeue if again else cancel)(session, found, "op", "a")
        row.frees()
        row.state, row.waits = ("pending" if again else "cancelled"), False
        if again:
            row.items = {uid: "pending" if state == "failed" else state for uid, state in row.items.items()}

    @rule(node=sampled_from(NODES))
    def nothing_is_claimed_during_a_pause(self, node: str) -> None:
        with self.database.write() as session:
            holds.hold(session, holds.DESTINATION, "pacs", "op", "")
        self.paused = True
        self.claim(node)
        with self.database.write() as session:
            holds.release(session, holds.DESTINATION, "pacs")
        self.paused = False

    @invariant()
    def the_same(self) -> None:
        with self.database.read() as session:
            rows = {row.id: (row.state, row.claim) for row in session.scalars(select(Delivery))}
            items = {item.sop_uid: item.state for item in session.scalars(select(DeliveryItem))}
            down = session.scalar(select(Outage))
        assert rows == {id: (row.state, row.claim) for id, row in self.planned.items()}
        assert items == {uid: state for row in self.planned.values() for uid, state in row.items.items()}
        assert (down is not None) == bool(self.outage)

    def teardown(self) -> None:
        """Let it all go on: everything that nobody cancelled comes to its end."""
        if not self.planned:
            return
        for node in NODES:
            self.a_node_starts_anew(node)
        for _ in range(2 * len(self.planned) + 1):
            self.time_passes()
            self.claim("a")
            while self.hands:
                for _ in self.hands[0].taken.items:
                    self.answer(0, "sent")
                self.conclude(0, Ending.NOTHING)
        assert {row.state for row in self.planned.values()} <= {"sent", "failed", "cancelled"}
        self.the_same()


def test_deliveries_do_what_the_model_does(database: Database, tmp_path: Path) -> None:
    class Machine(DeliveriesAgainstModel):
        bench = SendingBench(tmp_path / "node", database=database)

    Machine.bench.plan([])  # for its series
    run_state_machine_as_test(Machine, settings=settings(max_examples=20, stateful_step_count=30, deadline=None))
