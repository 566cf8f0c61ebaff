"""Bombs: answered at once and within memory, by the receivers and by everything that looks at them afterwards."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from faults.bombs import bombs
from faults.malformed import Request
from faults.scenario import ask, indexed, site
from support import wire
from support.footprint import MIB, MemoryWatch
from support.instances import ct_template
from support.matrix import RecordRow
from support.modality import Modality
from support.sampler import EchoSampler
from support.targets import NodeTarget, a_node

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

MOST_CPU_SECONDS = 2.0
"""Of the receivers for one answer. Not by the clock: on a busy machine that tells of others, and a receiver that
computes holds up its other associations for no longer than that."""
MOST_GROWTH = 256 * MIB
STORED, CANNOT_UNDERSTAND = 0x0000, 0xC000
EXPECTED = {
    "pixels inflate to 300 MB": STORED,
    "RLE of 65535 squared": STORED,
    "a billion frames": STORED,
    "a description of 8 MiB": STORED,
    "sequences nested 50000 deep": CANNOT_UNDERSTAND,
    "header inflates to 400 MiB": CANNOT_UNDERSTAND,
}


def throw(target: NodeTarget, request: Request) -> tuple[int, float, float]:
    """Send one; its status, the seconds until the answer, and how many of them the receivers computed."""
    context = wire.Context(1, request.sop_class, (request.transfer_syntax,))
    with Modality(target.port, target.ae_title, "BOMBER", contexts=(context,), timeout=60.0) as modality:
        computed, begin = cpu_seconds(target.pids()), time.monotonic()
        status = modality.store(request)
        return status, time.monotonic() - begin, cpu_seconds(target.pids()) - computed


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes have computed since they began (proc(5), stat)."""
    fields = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def unfinished(target: NodeTarget) -> list[tuple[str, str]]:
    query = "SELECT 'series', state FROM series WHERE state != 'complete' UNION ALL "
    query += "SELECT 'enhancement', state FROM enhancement WHERE state IN ('ready', 'running')"
    return [(kind, state) for kind, state in ask(target.node, query)]


def everything(target: NodeTarget) -> list[int]:
    """Every process of the node that is there, the receivers first."""
    return [*target.pids(), target.node.pid, *target.node.children()]


def test_bombs_go_off_nowhere(tmp_path: Path, record_row: RecordRow) -> None:
    requests = bombs()
    engine = {"devices": ["cpu"], "retry_seconds": 0.1, "max_attempts": 1}
    with a_node(tmp_path / "node", site_yaml=site(1), engine=engine) as target:
        node = target.node
        with Modality(target.port, target.ae_title) as modality:
            assert modality.store(ct_template(64).instance(1, 1)) == STORED
        node.wait_until(lambda: ask(node, "SELECT state FROM enhancement") == [("done",)], 60.0, "a good series")
        pids = target.pids()
        with (
            MemoryWatch(lambda: [*target.pids(), node.pid]) as receivers,
            MemoryWatch(lambda: everything(target)) as workers,
            EchoSampler(target.port, target.ae_title, timeout=60.0) as sampler,
        ):
            found = {request.name: throw(target, request) for request in requests}
            answered = receivers.growth()
            stored = {request.sop_uid for request in requests if EXPECTED[request.name] == STORED}
            node.wait_until(lambda: stored <= indexed(node), 60.0, "the index to have looked at them")
            node.wait_until(lambda: not unfinished(target), 120.0, "every job to end")
        assert {name: status for name, (status, _, _) in found.items()} == EXPECTED
        slowest = max(seconds for _, seconds, _ in found.values())
        computed = max(seconds for _, _, seconds in found.values())
        assert computed < MOST_CPU_SECONDS, found
        reasons = " ".join(reason for (reason,) in ask(node, "SELECT reason FROM enhancement WHERE state = 'failed'"))
        assert reasons.count("the limit") == 2, reasons
        grown = max(answered, receivers.growth())
        assert grown < MOST_GROWTH, f"{grown / MIB:.0f} MiB"
        assert sampler.seconds
        assert not sampler.failures, sampler.text()
        assert target.pids() == pids
        of_workers = workers.growth()
        assert of_workers < MOST_GROWTH, f"{of_workers / MIB:.0f} MiB"
    memory = f"memory + {grown / MIB:.0f} MiB, of the largest worker + {of_workers / MIB:.0f} MiB"
    seen = f"slowest answer {slowest:.2f} s, {computed:.2f} s computed; {memory}; {sampler.text()}"
    record_row(19, f"{len(requests)} bombs", node=seen)
