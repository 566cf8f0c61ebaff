"""Half-said things by the hundred: good neighbours have their C-ECHO within a second, the stalled go in time."""

import os
import time
from collections import defaultdict
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

pytestmark = pytest.mark.faults

KINDS = {"half request": "half_request", "half data": "half_data", "drip": "drip", "silent": "silent"}
FLOOD = 1500
SPARE = 8
PEER_SECONDS = 30.0
"""Peers are looked at, not judged."""
GRACE = 1.0
"""Seconds that may pass from a deadline to the word or the end that follows from it."""
PROMPT = 1.0
"""Seconds that a good client waits at most, on a machine of its own."""
PROMPT_ENOUGH = 2.5
"""Beside other tests: less than anybody's patience, whose end a good client would have to wait for."""


@dataclass(frozen=True)
class Outcome:
    """What was seen of one siege."""

    sampler: EchoSampler
    held: list[Held]
    standing: bool

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


def besiege(target: Target, form: Form, sources: tuple[str, ...], seconds: float) -> Outcome:
    """Hold the siege for so long, sampling from before its begin to its end."""
    counts = {kind: form[figure] for kind, figure in KINDS.items()}
    with (
        EchoSampler(target.port, target.ae_title) as sampler,
        Siege(target.port, target.ae_title, counts, sources) as siege,
    ):
        standing = siege.wait_for(sum(counts.values()), form["artim_seconds"])
        time.sleep(seconds)
        held = list(siege.held)
    return Outcome(sampler, held, standing)


def assert_sent_away(outcome: Outcome, form: Form) -> None:
    """Each that had its time was told or closed within a second of the deadline, and none before it."""
    patience = {"silent": form["artim_seconds"], "half request": form["artim_seconds"]}
    over = time.monotonic()
    late: dict[str, list[float]] = defaultdict(list)
    for held in outcome.held:
        deadline = patience.get(held.stall.name, form["pdu_seconds"])
        if held.stalled_at is None or held.rejected:
            continue
        waited = (held.told_at or over) - held.stalled_at
        if waited > deadline + GRACE:
            late[held.stall.name].append(round(waited, 2))
        if held.told_at is not None:
            assert waited > deadline - GRACE, f"{held.stall.name} was sent away after {waited:.1f} s already"
    assert not late, f"sent away late, or never: {dict(late)}"


@pytest.mark.parametrize("sources", [EIGHT_ADDRESSES, ONE_ADDRESS], ids=["eight addresses", "one address"])
def test_more_come_than_there_is_room_to_wait(sources: tuple[str, ...], tmp_path: Path, record_row: RecordRow) -> None:
    """Whom the node has no room for is sent away; the good client is served, from the same address too."""
    with a_node(tmp_path / "node") as node:
        before = Footprint.of(node.pids())
        with (
            MemoryWatch(node.pids) as memory,
            EchoSampler(node.port, node.ae_title) as sampler,
            Siege(node.port, node.ae_title, {"silent": FLOOD}, sources) as siege,
        ):
            time.sleep(5.0)
            turned_away = sum(held.gone_at is not None for held in list(siege.held))
            during = Footprint.of(node.pids())
        assert turned_away > 0, "there was room for all"
        assert sampler.slowest < PROMPT_ENOUGH, sampler.text()
        assert memory.growth() < 64 * MIB
        assert during.threads <= before.threads + SPARE
        node.node.wait_until(lambda: Footprint.of(node.pids()).within(before, SPARE), 60.0, "the baseline")
    seen = f"{turned_away} turned away; {sampler.text()}; at most {during}"
    record_row(12, f"{FLOOD} silent sockets from {len(sources)} addresses", node=seen)


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
        outcome = besiege(Stock(port), form, EIGHT_ADDRESSES, seconds=3.0)
    finally:
        server.shutdown()
    assert outcome.standing
    with pytest.raises(AssertionError, match="late"):
        assert_sent_away(outcome, form)


def text(target: Target, form: Form) -> str:
    """From eight addresses, and from the good client's own."""
    eight, one = (besiege(target, form, sources, PEER_SECONDS).text() for sources in (EIGHT_ADDRESSES, ONE_ADDRESS))
    return f"{eight}; from one address: {one}"


@pytest.mark.parametrize("form", forms(12))
def test_the_stalled_hold_nobody_up(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    dicom = {"artim_timeout": form["artim_seconds"], "pdu_timeout": form["pdu_seconds"]}
    seen = []
    with a_node(tmp_path / "node", dicom=dicom) as node:
        pids = node.pids()
        for sources in (EIGHT_ADDRESSES, ONE_ADDRESS):
            outcome = besiege(node, form, sources, form["seconds"])
            seen.append(outcome.text())
            assert outcome.standing, "the siege never stood"
            assert outcome.sampler.slowest < (PROMPT if form.is_long else PROMPT_ENOUGH), outcome.text()
            assert_sent_away(outcome, form)
            assert {kind for kind in KINDS if not outcome.waits(kind)} == set(), "some kind was never sent away"
        with Modality(node.port, node.ae_title) as modality:
            assert modality.echo() == 0x0000
        assert node.pids() == pids
    peers = observed(form, tmp_path, lambda target: text(target, form))
    record_row(form, node="; from one address: ".join(seen), **peers)
