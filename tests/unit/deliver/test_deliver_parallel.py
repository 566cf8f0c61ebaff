"""Several associations to one destination: never more than allowed, each instance once, and one that fails is alone."""

import errno
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_RELEASE_RQ
from support.peers import free_port
from support.sendingbench import PATIENT, SendingBench

from dicomnode.db.repositories import outages
from dicomnode.db.repositories.deliveries import OpenItem
from dicomnode.deliver.content import OnDisk
from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed, Outcome, Response
from dicomnode.deliver.outgoing import Outgoing
from dicomnode.deliver.parallel import store
from dicomnode.domain.instance import Location

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))


class Peer:
    """A Storage SCP that counts its associations and what came over each. `answer` decides, 0000 by default."""

    def __init__(self, limit: int = 50) -> None:
        self.answer: Callable[[Any], int] = lambda event: 0
        self.port = free_port()
        self.received: dict[Association, list[str]] = {}
        self.most_open = 0
        self._open: set[Association] = set()
        self._lock = threading.Lock()
        self._entity = AE(ae_title="PACS")
        self._entity.maximum_associations = limit
        self._entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)

    @contextmanager
    def running(self) -> Iterator["Peer"]:
        handlers = [
            (evt.EVT_ACCEPTED, self._opened),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_PDU_RECV, self._heard),
            (evt.EVT_ABORTED, self._closed),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]
        server = self._entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        assert server is not None
        try:
            yield self
        finally:
            server.shutdown()

    def uids(self) -> Counter[str]:
        """How often each instance was asked to be stored."""
        with self._lock:
            return Counter(uid for uids in self.received.values() for uid in uids)

    def _opened(self, event: Any) -> None:
        with self._lock:
            self._open.add(event.assoc)
            self.received.setdefault(event.assoc, [])
            self.most_open = max(self.most_open, len(self._open))

    def _heard(self, event: Any) -> None:
        """Before the node is told that its association is over, and may open another."""
        if isinstance(event.pdu, A_RELEASE_RQ):
            self._closed(event)

    def _closed(self, event: Any) -> None:
        with self._lock:
            self._open.discard(event.assoc)

    def _store(self, event: Any) -> int:
        with self._lock:
            self.received[event.assoc].append(str(event.request.AffectedSOPInstanceUID))
        return self.answer(event)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer().running() as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path) -> SendingBench:
    return SendingBench(tmp_path)


@contextmanager
def sending(bench: SendingBench, port: int, **options: Any) -> Iterator[None]:
    """A sender that runs for the length of the block."""
    sender = bench.sender(port, **options)
    sender.start()
    try:
        yield
    finally:
        sender.stop()
        sender.join(60)
        assert not sender.is_alive()


def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def all_sent(bench: SendingBench) -> Callable[[], bool]:
    return lambda: {row.state for row in bench.deliveries()} == {"sent"}


def slowly(event: Any) -> int:
    time.sleep(0.01)
    return 0


def once_open(peer: Peer, count: int) -> Callable[[Any], int]:
    """Answers slowly, and not before something came over so many associations, however long that takes here."""

    def answer(event: Any) -> int:
        until(lambda: sum(map(bool, tuple(peer.received.values()))) >= count, f"{count} associations")
        return slowly(event)

    return answer


def test_a_series_over_three_associations(bench: SendingBench, peer: Peer) -> None:
    uids = bench.plan([FILE], copies=90)
    peer.answer = once_open(peer, 3)
    with sending(bench, peer.port, associations=3):
        until(all_sent(bench), "the series to be sent")
    assert peer.uids() == Counter(uids)
    assert peer.most_open == 3
    used = [received for received in peer.received.values() if received]
    assert len(used) == 3
    for received in used:
        assert received == sorted(received, key=uids.index), "the order within an association"
    assert {row.attempts for row in bench.items()} == {1}
    assert len(bench.events("delivery.sent")) == 1


def test_many_short_series_use_all_associations(bench: SendingBench, peer: Peer) -> None:
    uids = [uid for _ in range(12) for uid in bench.plan([FILE], copies=2)]
    peer.answer = once_open(peer, 2)
    with sending(bench, peer.port, associations=3):
        until(all_sent(bench), "all series to be sent")
    assert peer.uids() == Counter(uids)
    assert 2 <= peer.most_open <= 3


def test_one_association_is_one_and_keeps_the_order(bench: SendingBench, peer: Peer) -> None:
    uids = [*bench.plan([FILE], copies=20), *bench.plan([FILE], copies=20)]
    with sending(bench, peer.port):
        until(all_sent(bench), "both series to be sent")
    assert peer.most_open == 1
    assert [uid for received in peer.received.values() for uid in received] == uids


def test_an_association_that_fails_leaves_the_others_alone(bench: SendingBench, peer: Peer) -> None:
    uids = bench.plan([FILE], copies=120)
    asked: list[str] = []
    lost: list[str] = []
    all_open = once_open(peer, 3)

    def abort_one(event: Any) -> int:
        asked.append(str(event.request.AffectedSOPInstanceUID))
        answer = all_open(event)
        with turn:
            if not lost:
                lost.append(str(event.request.AffectedSOPInstanceUID))
                event.assoc.abort(block=False)
        return answer

    turn = threading.Lock()

    peer.answer = abort_one
    with sending(bench, peer.port, associations=3):
        until(all_sent(bench), "the lost one to be sent again")
    assert len(bench.events("delivery.retry")) == 1
    assert (Counter(asked[:-1]), asked[-1:]) == (Counter(uids), lost), "the others went on with all the rest"
    assert peer.uids() == Counter(uids) + Counter(lost)
    assert peer.most_open <= 3


def test_a_peer_that_takes_fewer_associations_gets_everything_over_those(bench: SendingBench) -> None:
    uids = bench.plan([FILE], copies=100)
    few = Peer(limit=2)
    few.answer = once_open(few, 2)
    with few.running(), sending(bench, few.port, associations=4):
        until(all_sent(bench), "the series to be sent")
    assert few.uids() == Counter(uids)
    assert few.most_open == 2
    assert bench.events("delivery.retry") == []


@pytest.mark.parametrize(("copies", "expected"), [(25, 1), (45, 2), (200, 4)])
def test_another_association_has_to_pay(bench: SendingBench, peer: Peer, copies: int, expected: int) -> None:
    """One for each 25 instances that nobody has taken when it would be opened; the first has taken some by then."""
    uids = bench.plan([FILE], copies=copies)
    all_open = once_open(peer, expected)

    def very_slowly(event: Any) -> int:
        time.sleep(0.04)
        return all_open(event)

    peer.answer = very_slowly
    with sending(bench, peer.port, associations=4):
        until(all_sent(bench), "the series to be sent")
    assert peer.uids() == Counter(uids)
    assert peer.most_open == expected


def test_out_of_resources_stops_all_associations_until_the_back_off_ends(bench: SendingBench, peer: Peer) -> None:
    uids = bench.plan([FILE], copies=60)
    refused: list[float] = []

    def full_for_a_while(event: Any) -> int:
        if len(peer.uids()) < 30 or (refused and time.monotonic() > refused[0] + 0.3):
            return slowly(event)
        refused.append(time.monotonic())
        return 0xA700

    peer.answer = full_for_a_while
    with sending(bench, peer.port, associations=3):
        until(all_sent(bench), "the series to be sent")
    attempts = len(bench.events("delivery.retry"))
    assert 1 <= len(refused) <= 3 * attempts, "each association hears it once per attempt"
    assert "A700" in bench.events("delivery.retry")[0].message
    assert set(peer.uids()) == set(uids)
    assert sum(peer.uids().values()) == len(uids) + len(refused)


def test_a_destination_that_is_away_is_asked_once_at_a_time(bench: SendingBench) -> None:
    for _ in range(5):
        bench.plan([FILE], copies=3)
    port = free_port()
    with sending(bench, port, associations=3):
        until(lambda: len(bench.events("delivery.retry")) >= 4, "some attempts")
        rows = bench.deliveries()
    assert {row.state for row in rows} <= {"pending", "sending"}
    assert len({event.subject for event in bench.events("delivery.retry")}) >= 4, "each delivery has its turn"
    assert len(bench.events("destination.down")) == 1
    with bench.database.read() as session:
        outage = outages.find(session, "pacs")
    assert outage is not None
    assert (outage.kind, outage.attempts) == ("network", len(bench.events("delivery.retry")))
    assert "refused" in outage.reason


def test_stopping_finishes_what_is_on_the_wire(bench: SendingBench, peer: Peer) -> None:
    uids = bench.plan([FILE], copies=300)

    def very_slowly(event: Any) -> int:
        time.sleep(0.04)
        return 0

    peer.answer = very_slowly
    with sending(bench, peer.port, associations=3):
        until(lambda: len(peer.uids()) > 30, "a good part to be sent")
    peer.answer = slowly
    done = {row.sop_uid for row in bench.items() if row.state == "sent"}
    assert done == set(peer.uids())
    assert len(done) < len(uids)
    (row,) = bench.deliveries()
    assert (row.state, row.reason) == ("pending", "the node was stopped")
    with sending(bench, peer.port, associations=2):
        until(all_sent(bench), "the rest to be sent")
    assert peer.uids() == Counter(uids)


def test_unreadable_bytes_fail_alone(bench: SendingBench, peer: Peer) -> None:
    bench.plan([FILE], copies=2)
    broken = bench.plan([FILE])
    with (bench.root / "made.tar").open("r+b") as container:
        container.seek(bench.items()[2].offset)
        container.write(b"\xff" * 1000)
    with sending(bench, peer.port, associations=2):
        until(lambda: {row.state for row in bench.deliveries()} == {"sent", "failed"}, "both to end")
    assert [row.state for row in bench.items()] == ["sent", "sent", "failed"]
    assert "cannot be read: no DICM prefix" in bench.items()[2].detail
    assert broken[0] not in peer.uids()


class Torn(OnDisk):
    """A file whose second half the disk cannot read."""

    def window(self, offset: int, buffer: memoryview) -> memoryview:
        if offset:
            raise OSError(errno.EIO, "Input/output error")
        return super().window(offset, buffer[: self.length // 2])


def test_a_disk_that_fails_amid_an_instance_costs_its_association_alone(
    bench: SendingBench, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = bench.plan([FILE], copies=4)
    sender = bench.sender(peer.port)
    whole = sender._outgoing

    def outgoing(item: OpenItem) -> Outgoing:
        made = whole(item)
        torn = Location(item.container, item.offset, item.length)
        return made if item.sop_uid != uids[1] else replace(made, read=lambda: Torn.at(bench.root, torn))

    monkeypatch.setattr(sender, "_outgoing", outgoing)
    assert sender.send_next()
    assert [row.state for row in bench.items()] == ["sent", "failed", "sent", "sent"]
    assert "the stored bytes cannot be read: [Errno 5]" in bench.items()[1].detail
    assert [received for received in peer.received.values() if received] == [uids[:1], uids[2:]]


def outgoings(count: int) -> list[Outgoing]:
    one = Outgoing.from_file(FILE)
    return [Outgoing(one.sop_class_uid, f"1.2.{n}", one.transfer_syntax_uid, one.read) for n in range(count)]


def test_store_without_a_ledger(peer: Peer) -> None:
    many, answers = outgoings(60), Counter[str]()
    peer.answer = once_open(peer, 3)

    def answered(outgoing: Outgoing, response: Response) -> None:
        assert response.stored
        answers[outgoing.sop_instance_uid] += 1

    store(Destination("pacs", "PACS", "127.0.0.1", peer.port, associations=3), "NODE", many, answered=answered)
    assert answers == peer.uids() == Counter(one.sop_instance_uid for one in many)
    assert peer.most_open == 3


def test_store_says_when_instances_are_left(peer: Peer) -> None:
    def abort(event: Any) -> int:
        event.assoc.abort(block=False)
        return 0

    peer.answer = abort
    outcomes: list[Outcome] = []
    with pytest.raises(AssociationFailed, match="aborted"):
        store(
            Destination("pacs", "PACS", "127.0.0.1", peer.port, associations=2),
            "NODE",
            outgoings(10),
            answered=lambda outgoing, response: outcomes.append(response.outcome),
            timeouts=PATIENT,
        )
    assert outcomes == [Outcome.TRANSIENT] * 2


def test_an_error_of_the_caller_is_the_callers(peer: Peer) -> None:
    def answered(outgoing: Outgoing, response: Response) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        store(Destination("pacs", "PACS", "127.0.0.1", peer.port), "NODE", outgoings(3), answered=answered)
