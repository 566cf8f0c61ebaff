"""kill -9 in the middle of a receive, then the doctor instead of a restart: what was acknowledged is indexed by it."""

import json
import threading
from pathlib import Path

import pytest
from faults.scenario import assert_indexed, assert_kept, instances, send_until_it_dies
from support.nodeproc import Node
from support.series import make_ct_series

pytestmark = pytest.mark.faults

TRACES = {"store.unindexed", "store.unfinished", "store.torn"}
"""What a kill may leave: stored but not yet indexed, and what nobody was told is stored."""


def test_the_doctor_finds_the_traces_of_a_kill_and_nothing_else(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    everything, acknowledged = [], []
    for number in (2, 3, 4):
        files = instances(make_ct_series(tmp_path / "ct", 12, rows=256, series_number=number))
        everything += files
        node.start()
        told = threading.Event()

        def note(uid: str, told: threading.Event = told) -> None:
            acknowledged.append(uid)
            told.set()

        sender = threading.Thread(target=send_until_it_dies, args=(node, files, note))
        sender.start()
        assert told.wait(60.0)
        node.kill9()
        sender.join()
        looked = node.cli("doctor", "--json", check=False)
        findings = {each["kind"] for each in json.loads(looked.stdout)["findings"] if each["kind"].startswith("store.")}
        assert findings <= TRACES
        assert node.cli("doctor", "--repair")["ok"]
        assert_indexed(node, acknowledged, everything)
        assert_kept(node.root / "var/store", acknowledged, everything)
        assert node.cli("doctor", "--deep")["ok"]
    node.start()
    assert node.cli("doctor")["running"]
    assert node.terminate() == 0
