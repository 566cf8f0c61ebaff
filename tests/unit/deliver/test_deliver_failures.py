"""What a PACS may say or do: what is tried again, what is not, what people are told, and that nobody is hammered."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from pynetdicom import evt
from pynetdicom.presentation import build_context
from support.scriptedpacs import Act, Refusal, ScriptedPacs
from support.sendingbench import PATIENT, SendingBench

from dicomnode.db.repositories import holds
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.find import STUDY_ROOT_FIND
from dicomnode.deliver.orders import cancel, requeue, reroute
from dicomnode.deliver.sender import Sender

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))


@pytest.fixture
def bench(tmp_path: Path) -> SendingBench:
    return SendingBench(tmp_path)


@pytest.fixture
def pacs() -> Iterator[ScriptedPacs]:
    with ScriptedPacs() as running:
        yield running


def test_every_status_has_its_consequence(bench: SendingBench, pacs: ScriptedPacs) -> None:
    uids = bench.plan([FILE], copies=5)
    pacs.script += [0x0000, 0xB000, 0xB0FF, 0xC000, 0xA700, 0xA7FF]
    with bench.sending(pacs.port):
        bench.wait_for("failed")
    assert [row.state for row in bench.items()] == ["sent", "sent", "sent", "failed", "sent"]
    assert pacs.uids() == Counter(uids) + Counter({uids[4]: 2}), "what was out of resources, and nothing else, again"
    (event,) = bench.events("delivery.failed")
    assert event.detail["warnings"] == 2
    assert "C000: the peer cannot understand it" in bench.deliveries()[0].reason
    assert bench.outage() is None


def test_out_of_resources_rests_the_destination_and_not_one_delivery(bench: SendingBench, pacs: ScriptedPacs) -> None:
    for _ in range(20):
        bench.plan([FILE], copies=2)
    pacs.always = 0xA700
    with bench.sending(pacs.port, associations=3):
        bench.wait_until(lambda: (found := bench.outage()) and found.attempts >= 4, "four attempts")
        asked = len(pacs.asked)
        assert asked <= bench.outage().attempts + 3  # type: ignore[union-attr]
        assert bench.outage().kind == "resources"  # type: ignore[union-attr]
        pacs.always = 0x0000
        bench.wait_for("sent")
    assert set(pacs.kept.values()) == {1}
    assert len(bench.events("destination.down")) == len(bench.events("destination.up")) == 1


def test_forty_series_wait_with_one_attempt_at_a_time_and_all_go_at_once(
    bench: SendingBench, pacs: ScriptedPacs
) -> None:
    for _ in range(40):
        bench.plan([FILE], copies=2)
    pacs.refusal = Refusal.CONGESTED
    backoff = Backoff(0.05, 0.8)
    with bench.sending(pacs.port, associations=4, backoff=backoff):
        pacs.wait_until(lambda: len(pacs.knocks) >= 7, "seven attempts")
        waits = [later - earlier for earlier, later in itertools.pairwise(pacs.knocks)]
        for number, wait in enumerate(waits, start=1):
            assert wait >= backoff.ceiling(number) / 2, "it grows, whoever tries"
        assert len({round(wait, 2) for wait in waits[3:]}) > 1, "it has jitter"
        pacs.refusal = None
        bench.wait_for("sent")
    assert set(pacs.kept.values()) == {1}
    assert len(pacs.kept) == 80
    (up,) = bench.events("destination.up")
    assert max(row.not_before for row in bench.deliveries()) <= up.at, "nobody waits any longer once one got through"


def test_a_refusal_for_good_stops_and_tells_and_ends_by_itself(bench: SendingBench, pacs: ScriptedPacs) -> None:
    bench.plan([FILE], copies=2)
    bench.plan([FILE], copies=2)
    pacs.refusal = Refusal.UNKNOWN_CALLER
    with bench.sending(pacs.port, refused_seconds=1.5):
        bench.wait_until(lambda: bench.events("destination.stopped"), "the stop")
        (event,) = bench.events("destination.stopped")
        assert "configuration error" in event.message
        assert "does not recognize this node's calling AE title" in event.message
        pacs.refusal = None
        bench.wait_for("sent")
    assert pacs.knocks[1] - pacs.knocks[0] > 0.7, "it is not asked again at the pace of a network's trouble"
    assert len(bench.events("destination.up")) == 1


def test_a_new_sender_asks_a_stopped_destination_at_once(bench: SendingBench, pacs: ScriptedPacs) -> None:
    bench.plan([FILE])
    pacs.refusal = Refusal.UNKNOWN_CALLED
    with bench.sending(pacs.port):
        bench.wait_until(bench.outage, "the stop")
    pacs.refusal = None
    with bench.sending(pacs.port):
        bench.wait_for("sent")


def test_an_abort_amid_a_series_costs_the_instance_alone(bench: SendingBench, pacs: ScriptedPacs) -> None:
    uids = bench.plan([FILE], copies=5)
    pacs.script += [0, 0, Act.ABORT]
    with bench.sending(pacs.port):
        bench.wait_for("sent")
    assert pacs.uids() == Counter(uids) + Counter([uids[2]])
    assert [each.sop_uid for each in pacs.asked] == [*uids[:3], *uids[3:], uids[2]], "the stumbling block comes last"
    assert bench.events("destination.down") == []


def test_silence_is_the_destinations_trouble_and_ends_with_it(bench: SendingBench, pacs: ScriptedPacs) -> None:
    for _ in range(4):
        bench.plan([FILE], copies=2)
    pacs.always = Act.SILENCE
    with bench.sending(pacs.port, timeouts=replace(PATIENT, dimse=1.0)) as sender:
        bench.wait_until(lambda: (found := bench.outage()) and found.attempts >= 2, "two attempts")
        asked, outage = len(pacs.asked), bench.outage()
        assert outage is not None
        assert asked <= outage.attempts + 1
        pacs.refusal = Refusal.CONGESTED
        pacs.wait_until(lambda: pacs.open == 0, "the last silence to end")
        sender._timeouts = PATIENT  # what is answered now is heard, however long that takes here
        pacs.always, pacs.refusal = 0, None
        bench.wait_for("sent")
    assert set(pacs.kept.values()) == {1}


def test_a_silent_destination_holds_up_no_other(bench: SendingBench, pacs: ScriptedPacs) -> None:
    patient = replace(PATIENT, dimse=120.0)
    with ScriptedPacs() as silent:
        silent.always = Act.SILENCE
        for _ in range(3):
            bench.plan([FILE], copies=3)
            bench.plan([FILE], copies=3, destination="silent")
        with bench.sending(pacs.port), bench.sending(silent.port, name="silent", timeouts=patient):
            bench.wait_until(lambda: sum(pacs.kept.values()) == 9, "the good one to have everything")
            assert sum(silent.kept.values()) == 0
            silent.stop()  # else its sender would go on waiting for the instance on the wire


class Catalogue:
    """C-FIND at image level: names the instances in `uids`."""

    def __init__(self) -> None:
        self.uids: set[str] = set()
        self.asked = 0

    def find(self, event: Any) -> Iterator[tuple[int, Any]]:
        self.asked += 1
        wanted = event.identifier.SOPInstanceUID
        for uid in [wanted] if isinstance(wanted, str) else wanted:
            if uid in self.uids:
                answer = event.identifier
                answer.SOPInstanceUID = uid
                yield 0xFF00, answer


@pytest.mark.parametrize("is_there", [True, False])
def test_a_duplicate_after_a_lost_answer_is_looked_up(bench: SendingBench, is_there: bool) -> None:
    uids, catalogue = bench.plan([FILE], copies=3), Catalogue()
    query = build_context(STUDY_ROOT_FIND)
    with ScriptedPacs(contexts=[query], handlers=[(evt.EVT_C_FIND, catalogue.find)]) as pacs:
        pacs.script += [0, Act.KEEP_AND_ABORT]
        pacs.duplicate = 0x0111
        catalogue.uids = {uids[1]} if is_there else set()
        with bench.sending(pacs.port):
            bench.wait_for("sent" if is_there else "failed")
    item = bench.items()[1]
    assert (item.state, item.status) == ("sent" if is_there else "failed", 0x0111)
    assert ("C-FIND names it" if is_there else "C-FIND does not name it") in item.detail
    assert catalogue.asked == 1


def test_a_duplicate_without_an_earlier_attempt_is_a_failure(bench: SendingBench, pacs: ScriptedPacs) -> None:
    bench.plan([FILE])
    pacs.always = 0x0111
    with bench.sending(pacs.port):
        bench.wait_for("failed")
    assert "has an instance of this UID already" in bench.items()[0].detail


def closed(sender: Sender) -> bool:
    """Whether it takes no more of the delivery that it has in hand."""
    return [claim.is_closed for claim in sender._claims] == [True]


def test_a_pause_ends_after_the_instance_on_the_wire_and_outlives_a_restart(
    bench: SendingBench, pacs: ScriptedPacs
) -> None:
    uids = bench.plan([FILE], copies=9)
    pacs.hold_back()
    with bench.sending(pacs.port) as sender:
        pacs.wait_until(lambda: pacs.asked, "the first instance")
        with bench.database.write() as session:
            holds.hold(session, holds.DESTINATION, "pacs", "admin", "the archive is being moved")
        bench.wait_until(lambda: closed(sender), "the sender to see it")
        pacs.let_go()
        bench.wait_for("pending")
        assert len(pacs.asked) == 1
    assert bench.deliveries()[0].reason == "admin paused pacs"
    with bench.sending(pacs.port):
        time.sleep(1.0)
        assert len(pacs.asked) == 1
        with bench.database.write() as session:
            holds.release(session, holds.DESTINATION, "pacs")
        bench.wait_for("sent")
    assert pacs.uids() == Counter(uids)
    assert bench.events("delivery.retry") == []


def test_what_an_operator_cancels_while_it_is_sent_stays_cancelled(bench: SendingBench, pacs: ScriptedPacs) -> None:
    uids = bench.plan([FILE], copies=9)
    pacs.hold_back()
    with bench.sending(pacs.port) as sender:
        pacs.wait_until(lambda: pacs.asked, "the first instance")
        with bench.database.write() as session:
            (row,) = bench.deliveries()
            cancel(session, session.merge(row), "admin", "n")
        bench.wait_until(lambda: closed(sender), "the sender to see it")
        pacs.let_go()
        pacs.wait_until(lambda: pacs.open == 0, "the association to end")
        time.sleep(0.5)
        assert len(pacs.asked) == 1
    (row,) = bench.deliveries()
    assert (row.state, row.reason) == ("cancelled", "admin cancelled it")
    assert [item.state for item in bench.items()].count("sent") == 1, "what had been answered is known"
    with bench.database.write() as session:
        assert requeue(session, session.merge(row), "admin", "n") == 8
    with bench.sending(pacs.port):
        bench.wait_for("sent")
    assert pacs.uids() == Counter(uids)


def test_what_is_left_goes_elsewhere_and_nothing_twice(bench: SendingBench, pacs: ScriptedPacs) -> None:
    uids = bench.plan([FILE], copies=6)
    pacs.script += [0, 0, 0xC000, 0, 0, 0]
    with bench.sending(pacs.port):
        bench.wait_for("failed")
    with bench.database.write() as session:
        (row,) = bench.deliveries()
        assert reroute(session, session.merge(row), "archive", "admin", "n") == 1
    with ScriptedPacs() as archive, bench.sending(archive.port, name="archive"):
        bench.wait_for("sent", "cancelled")
        assert archive.uids() == Counter([uids[2]])
    old, new = bench.deliveries()
    assert (old.state, new.destination, new.state) == ("cancelled", "archive", "sent")
    assert bench.events("delivery.rerouted")[0].detail["to"] == "archive"


def test_what_is_urgent_goes_first_even_into_a_long_series(bench: SendingBench, pacs: ScriptedPacs) -> None:
    routine = bench.plan([FILE], copies=9, priority=1)
    pacs.hold_back()
    with bench.sending(pacs.port) as sender:
        pacs.wait_until(lambda: pacs.asked, "the first instance")
        stat = bench.plan([FILE], copies=3, priority=0)
        bench.wait_until(lambda: closed(sender), "the sender to see it")
        pacs.let_go()
        bench.wait_for("sent")
    assert [each.sop_uid for each in pacs.asked] == [routine[0], *stat, *routine[1:]]
    assert bench.events("delivery.retry") == []


def test_a_duplicate_that_cannot_be_looked_up_now_stays_open(bench: SendingBench, pacs: ScriptedPacs) -> None:
    """And where the peer knows no C-FIND at all, its refusal stands."""
    bench.plan([FILE], copies=2)
    pacs.duplicate = 0x0111
    pacs.script += [Act.KEEP_AND_ABORT]
    with bench.sending(pacs.port):
        bench.wait_for("failed")
    first = bench.items()[0]
    assert (first.state, first.status) == ("failed", 0x0111)
    assert "it cannot be asked whether" in first.detail
    broken = Catalogue()

    def busy(event: Any) -> Iterator[tuple[int, Any]]:
        broken.asked += 1
        yield (0xA700, None) if broken.asked == 1 else (0x0000, None)

    bench.plan([FILE], copies=2)
    handlers = [(evt.EVT_C_FIND, busy)]
    with ScriptedPacs(contexts=[build_context(STUDY_ROOT_FIND)], handlers=handlers) as other:
        other.duplicate = 0x0111
        other.script += [Act.KEEP_AND_ABORT]
        with bench.sending(other.port):
            bench.wait_for("failed")
    assert broken.asked == 2
    (kind,) = {event.detail["kind"] for event in bench.events("destination.down")}
    assert kind == "network", "a question that fails is no lack of resources"
