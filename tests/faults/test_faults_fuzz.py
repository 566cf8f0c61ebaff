"""Protocol fuzz: whatever is said to the port, the node goes on as it was, and good senders notice nothing."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.observed import observed
from faults.scenario import in_store, indexed
from support.footprint import MIB, Footprint, MemoryWatch
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.modality import Modality
from support.promises import promised
from support.rawfiles import RawFile
from support.sampler import EchoSampler
from support.targets import NodeTarget, Target, a_node

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

SEED = os.environ.get("DICOMNODE_FUZZ_SEED", "2026")
MOST_GROWTH = 64 * MIB
SPARE = 8
PEER_SECONDS = 60.0
"""Peers are looked at, not judged."""
SERIES = 20
WARM_SECONDS = 5.0
BASELINE_SECONDS = 60.0
"""A deadline for a PDU, and then as long again for what is being closed."""
_TESTS = Path(__file__).resolve().parents[1]


@dataclass
class Fuzzed:
    """How the connections of all clients ended, and what was stored between them."""

    ends: Counter[str]
    seconds: float
    good: list[RawFile]

    def text(self) -> str:
        """For people."""
        ends = ", ".join(f"{count} {how}" for how, count in self.ends.most_common())
        connections = f"{self.ends.total()} connections ({ends}) in {self.seconds:.0f} s, seed {SEED}"
        return f"{connections}; {len(self.good)} good instances between"


def fuzz(target: Target, form: Form, seconds: float, first: int = 1) -> Fuzzed:
    """Run the clients, and store a good instance on an association of its own every half second."""
    begin = time.monotonic()
    running = [
        start_client(target, f"{SEED}-{first}-{number}", seconds, form["rate"] / form["clients"])
        for number in range(form["clients"])
    ]
    good: list[RawFile] = []
    while any(client.poll() is None for client in running):
        instance = ct_template(64).instance(SERIES, first + len(good))
        with Modality(target.port, target.ae_title, timeout=60.0) as modality:
            assert modality.store(instance) == 0x0000
        good.append(instance)
        time.sleep(0.5)
    ends: Counter[str] = Counter()
    for client in running:
        output, _ = client.communicate()
        assert client.returncode == 0, "the fuzzer itself broke"
        ends.update(json.loads(output))
    return Fuzzed(ends, time.monotonic() - begin, good)


def start_client(target: Target, seed: str, seconds: float, rate: float) -> "subprocess.Popen[bytes]":
    print(f"fuzzing with seed {seed}: python -m fuzz.client PORT AE_TITLE {seed} --only NUMBER says one of them again")
    command = [sys.executable, "-m", "fuzz.client", str(target.port), target.ae_title, seed, str(seconds), str(rate)]
    environment = {**os.environ, "PYTHONPATH": f"{_TESTS}:{_TESTS.parent}"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def at_rest(target: Target, baseline: Footprint) -> Footprint:
    """The footprint as soon as it is back, or as it is when there is no hope left."""
    deadline = time.monotonic() + BASELINE_SECONDS
    while not (found := Footprint.of(target.pids())).within(baseline, SPARE) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def text(target: Target, form: Form) -> str:
    """What one peer made of it, in a minute."""
    before = Footprint.of(target.pids())
    with MemoryWatch(target.pids) as memory, EchoSampler(target.port, target.ae_title) as sampler:
        fuzzed = fuzz(target, form, min(form["seconds"], PEER_SECONDS))
    told = f"{fuzzed.text()}; {sampler.text()}; memory + {memory.growth() / MIB:.0f} MiB"
    return f"{told}; {before}, then {at_rest(target, before)}"


def assert_silent(node: NodeTarget) -> None:
    """No process of the node met an exception that nobody caught."""
    log = node.node.log.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"Traceback|Exception in thread|Fatal Python error", log)
    assert found is None, log[max(found.start() - 500, 0) : found.start() + 3000] if found else ""


@promised()
def assert_good_kept_once(node: NodeTarget, good: list[RawFile]) -> None:
    """Each good instance is in the store once, with its bytes, and in the index."""
    wanted = {file.sop_uid: file.receipt().sha256 for file in good}
    node.node.wait_until(lambda: wanted.keys() <= indexed(node.node), 120.0, "the index to hold the good ones")
    stored = in_store(node.node.root / "var/store")
    assert {uid: [copy.receipt.sha256 for copy in stored[uid]] for uid in wanted} == {
        uid: [sha256] for uid, sha256 in wanted.items()
    }


@pytest.mark.parametrize("form", forms(20, timeout=2400))
def test_whatever_is_said_to_the_port(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    dicom = {"artim_timeout": 30, "pdu_timeout": 30}  # more than a busy machine holds up who means well
    with a_node(tmp_path / "node", dicom=dicom) as node:
        pids, rested = node.pids(), Footprint.of(node.pids())
        warm = fuzz(node, form, WARM_SECONDS, first=500_000)
        with MemoryWatch(node.pids) as memory, EchoSampler(node.port, node.ae_title, timeout=60.0) as sampler:
            fuzzed = fuzz(node, form, form["seconds"])
        after = at_rest(node, rested)
        told = f"{fuzzed.text()}; {sampler.text()}; memory + {memory.growth() / MIB:.0f} MiB; {rested}, then {after}"
        assert_silent(node)
        assert node.pids() == pids
        assert not sampler.failures, told
        assert fuzzed.ends.keys() <= {"ended by the client", "ended by the peer"}, told
        assert fuzzed.ends.total() == form["rate"] * form["seconds"], told
        assert after.within(rested, SPARE), told
        assert memory.growth() < MOST_GROWTH, told
        assert_good_kept_once(node, warm.good + fuzzed.good)
    record_row(form, node=told, **observed(form, tmp_path, lambda target: text(target, form)))
