"""An error of this node's own at one instance: it is tried again, then set aside, and holds up nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from structlog.testing import capture_logs
from support.databases import new_database
from support.scriptedpacs import ScriptedPacs
from support.sendingbench import SendingBench

from dicomnode.deliver import sender
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.outcome import Response
from dicomnode.deliver.outgoing import Outgoing
from dicomnode.deliver.scu import StoreSession
from dicomnode.deliver.stumbles import MOST

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))


@pytest.fixture
def bench(each_database: None, tmp_path: Path) -> Iterator[SendingBench]:
    database = new_database(tmp_path / "database")
    yield SendingBench(tmp_path / "node", database=database)
    database.close()


@pytest.fixture
def pacs() -> Iterator[ScriptedPacs]:
    with ScriptedPacs() as running:
        yield running


class FailsAt:
    """`send_one`, but at some instances it raises: so many times, by their UIDs."""

    def __init__(self, times: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = dict(times)
        self._send_one = sender.send_one
        monkeypatch.setattr(sender, "send_one", self)

    def __call__(self, session: StoreSession, outgoing: Outgoing) -> Response:
        if self.left.get(outgoing.sop_instance_uid):
            self.left[outgoing.sop_instance_uid] -= 1
            raise ValueError("of Doe^Jane")
        return self._send_one(session, outgoing)


def test_what_this_node_fails_at_is_tried_again_then_a_dead_letter_and_holds_up_nothing(
    bench: SendingBench, pacs: ScriptedPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, *others = bench.plan([FILE], copies=3)
    slow, last = bench.plan([FILE], copies=2)
    failing = FailsAt({bad: MOST, slow: MOST - 1}, monkeypatch)
    with capture_logs() as said, bench.sending(pacs.port, backoff=Backoff(0.01, 0.02)):
        bench.wait_for("sent", "failed")
    assert failing.left == {bad: 0, slow: 0}
    assert [asked.sop_uid for asked in pacs.asked] == [*others, last, slow], "what can be sent goes first; each once"
    assert [row.state for row in bench.deliveries()] == ["failed", "sent"]
    item = bench.items()[0]
    assert (item.state, item.attempts) == ("failed", MOST)
    assert item.detail == f"this node failed to send it {MOST} times: ValueError"
    retries = [event.detail["attempts"] for event in bench.events("delivery.retry") if event.subject == "delivery:1"]
    assert retries == [1, 2, 3, 4], "it backs off, each time for longer"
    assert bench.outage() is None
    assert bench.events("destination.down") == [], "it is not the destination's fault"
    assert "an instance could not be sent" in [each["event"] for each in said]
    assert "Doe" not in str(said)
