"""Half-said things by the hundred: good neighbours have their C-ECHO within a second, the stalled go in time."""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.observed import observed
from pynetdicom import AE
from support import wire
from support.footprint import MIB, Footprint, MemoryWatch
from support.matrix import Form, RecordRow, forms
from support.modality import Modality
from support.peers import free_port
from support.sampler import EchoSampler
from support.siege import EIGHT_ADDRESSES, ONE_ADDRESS, Held, Siege
from support.targets import Target, a_node

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

KINDS = {"half request": "half_request", "half data": "half_data", "drip": "drip", "silent": "silent"}
FLOOD = 1500
SPARE = 8
PEER_SECONDS = 30.0
"""Peers are looked at, not judged."""
GRACE = 1.0
"""Seconds that may pass from a deadline to the word or the end that follows from it."""
PROMPT = 1.0
"""Seconds that a good client waits at most, on a machine of its own."""
BUSY_SECONDS = 20.0
"""How much longer anything may take beside other tests, now and then: who is never sent away takes for ever."""
MOST_SECONDS = 60.0
SAMPLES = 10


@dataclass(frozen=True)
class Outcome:
    """What was seen of one siege."""

    sampler: EchoSampler
    held: list[Held]
    standing: bool
    ended_at: float

    def waits(self, kind: str) -> list[float]:
        """Seconds that each stalled socket of a kind was left alone."""
        return [held.told_at - held.stalled_at for held in self.held
                if held.stall.name == kind and held.told_at is not None and held.stalled_at is not None]  # fmt: skip

    def text(self) -> str:
        """For people."""
        waits = {kind: self.waits(kind) for kind in KINDS}
        ended = ", ".join(f"{kind} {max(found):.1f} s" for kind, found in waits.items() if found) or "none"
        never = sum(held.told_at is None for held in self.held)
        return f"{self.sampler.text()}; longest left alone: {ended}; open at the end: {never}"


Until = Callable[[Outcome], bool]


def besiege(target: Target, form: Form, sources: tuple[str, ...], until: Until, most_seconds: float) -> Outcome:
    """Hold the siege until that is so of it, or for so long, sampling from before its begin to its end."""
    counts = {kind: form[figure] for kind, figure in KINDS.items()}
    with (
        EchoSampler(target.port, target.ae_title, timeout=60.0) as sampler,
        Siege(target.port, target.ae_title, counts, sources) as siege,
    ):
        standing = siege.wait_for(sum(counts.values()))
        deadline = time.monotonic() + most_seconds
        while True:
            now = time.monotonic()
            outcome = Outcome(sampler, list(siege.held), standing, now)
            if now > deadline or until(outcome):
                return outcome
            time.sleep(0.05)


def never(_: Outcome) -> bool:
    """For those who are looked at for a time."""
    return False


def deadline_of(held: Held, form: Form) -> float:
    """Seconds that the node leaves it alone."""
    return form["artim_seconds"] if held.stall.name in ("silent", "half request") else form["pdu_seconds"]


def has_shown_itself(outcome: Outcome, form: Form) -> bool:
    """The first of all were sent away, one of each kind at its deadline; and there are samples enough."""
    first = outcome.held[: sum(form[figure] for figure in KINDS.values())]
    prompt = {
        held.stall.name
        for held in outcome.held
        if held.told_at and held.stalled_at and held.told_at - held.stalled_at < deadline_of(held, form) + GRACE
    }
    all_told = all(held.told_at is not None for held in first)
    return all_told and prompt == KINDS.keys() and served(outcome.sampler)


def served(sampler: EchoSampler) -> bool:
    """Whether good clients are served promptly by now: half of them, where others have a share of the machine."""
    return len(sampler.seconds) >= SAMPLES and statistics.median(list(sampler.seconds)) < PROMPT


def assert_sent_away(outcome: Outcome, form: Form, grace: float = GRACE) -> None:
    """Each that had its time was told or closed soon after the deadline, and none before it."""
    late: dict[str, list[float]] = defaultdict(list)
    early: dict[str, list[float]] = defaultdict(list)
    for held in outcome.held:
        deadline = deadline_of(held, form)
        if held.stalled_at is None or held.rejected:
            continue
        waited = (held.told_at or outcome.ended_at) - held.stalled_at
        if waited > deadline + grace:
            late[held.stall.name].append(round(waited, 2))
        if held.told_at is not None and waited < deadline:
            early[held.stall.name].append(round(waited, 2))
    assert not late, f"sent away late, or never: {dict(late)}"
    assert not early, f"sent away early: {dict(early)}"


@pytest.mark.parametrize("sources", [EIGHT_ADDRESSES, ONE_ADDRESS], ids=["eight addresses", "one address"])
def test_more_come_than_there_is_room_to_wait(sources: tuple[str, ...], tmp_path: Path, record_row: RecordRow) -> None:
    """Whom the node has no room for is sent away; the good client is served, from the same address too."""
    with a_node(tmp_path / "node") as node:
        before = Footprint.of(node.pids())
        with (
            MemoryWatch(node.pids) as memory,
            EchoSampler(node.port, node.ae_title, timeout=60.0) as sampler,
            Siege(node.port, node.ae_title, {"silent": FLOOD}, sources) as siege,
        ):
            node.node.wait_until(lambda: turned_away(siege) > FLOOD // 3, 60.0, "some to be turned away")
            node.node.wait_until(lambda: served(sampler), 60.0, "good clients to be served")
            gone, during = turned_away(siege), Footprint.of(node.pids())
        assert sampler.slowest < BUSY_SECONDS, sampler.text()
        assert memory.growth() < 64 * MIB
        assert during.threads <= before.threads + SPARE
        node.node.wait_until(lambda: Footprint.of(node.pids()).within(before, SPARE), 60.0, "the baseline")
    seen = f"{gone} turned away; {sampler.text()}; at most {during}"
    record_row(12, f"{FLOOD} silent sockets from {len(sources)} addresses", node=seen)


def turned_away(siege: Siege) -> int:
    return sum(held.gone_at is not None for held in list(siege.held))


@dataclass(frozen=True)
class Stock:
    """pynetdicom's own acceptor, in this process."""

    port: int
    ae_title: str = "ANY-SCP"

    def pids(self) -> list[int]:
        return [os.getpid()]

    def stored(self) -> int:
        return 0


def test_a_receiver_without_deadlines_is_found_out() -> None:
    """The same harness, shorter, against an acceptor that waits for ever inside a PDU."""
    figures = {"half_request": 2, "half_data": 2, "drip": 2, "silent": 2, "artim_seconds": 1, "pdu_seconds": 1}
    form = Form(12, False, figures)
    entity = AE()
    entity.add_supported_context(wire.VERIFICATION)
    entity.acse_timeout = entity.network_timeout = 1.0
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False)
    try:
        outcome = besiege(Stock(port), form, EIGHT_ADDRESSES, never, 3.0)
    finally:
        server.shutdown()
    assert outcome.standing
    with pytest.raises(AssertionError, match="late"):
        assert_sent_away(outcome, form)


def text(target: Target, form: Form) -> str:
    """From eight addresses, and from the good client's own."""
    both = (EIGHT_ADDRESSES, ONE_ADDRESS)
    eight, one = (besiege(target, form, sources, never, PEER_SECONDS).text() for sources in both)
    return f"{eight}; from one address: {one}"


@pytest.mark.parametrize("form", forms(12))
def test_the_stalled_hold_nobody_up(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    dicom = {"artim_timeout": form["artim_seconds"], "pdu_timeout": form["pdu_seconds"]}
    until: Until = never if form.is_long else lambda outcome: has_shown_itself(outcome, form)
    seen = []
    with a_node(tmp_path / "node", dicom=dicom) as node:
        pids = node.pids()
        for sources in (EIGHT_ADDRESSES, ONE_ADDRESS):
            outcome = besiege(node, form, sources, until, form["seconds"] if form.is_long else MOST_SECONDS)
            seen.append(outcome.text())
            assert outcome.standing, "the siege never stood"
            assert form.is_long or until(outcome), f"some stay, some kind goes late, or C-ECHO waits: {outcome.text()}"
            assert outcome.sampler.slowest < (PROMPT if form.is_long else BUSY_SECONDS), outcome.text()
            assert_sent_away(outcome, form, GRACE if form.is_long else BUSY_SECONDS)
            assert {kind for kind in KINDS if not outcome.waits(kind)} == set(), "some kind was never sent away"
        with Modality(node.port, node.ae_title) as modality:
            assert modality.echo() == 0x0000
        assert node.pids() == pids
    peers = observed(form, tmp_path, lambda target: text(target, form))
    record_row(form, node="; from one address: ".join(seen), **peers)
