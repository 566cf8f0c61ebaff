"""A full house: who is let in is served whole, who is too many is told so, and nothing stays behind."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pytest
from faults.observed import observed
from faults.scenario import assert_kept, indexed
from support import wire
from support.attack import storm
from support.footprint import Footprint
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.modality import Modality, Rejected
from support.rawfiles import RawFile
from support.siege import EIGHT_ADDRESSES
from support.targets import NodeTarget, Target, a_node

pytestmark = pytest.mark.faults

TOO_MANY = 8
LOCAL_LIMIT = (2, 3, 2)
"""Transient, by the presentation service of the provider, local limit exceeded (PS3.8 9.3.4)."""
SPARE = 8
"""Descriptors and threads by which two quiet moments may differ: a pool grows to its size, a log rotates."""

REST_SECONDS = 60.0
"""Until which all that a crowd took must be given back."""


@dataclass
class Outcome:
    """What was seen of one crowd."""

    statuses: Counter[int] = field(default_factory=Counter)
    rejections: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    let_in: int = 0
    broken_off: Counter[str] = field(default_factory=Counter)
    stormed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def text(self) -> str:
        """For people."""
        rejected = ", ".join(f"{count} x {'/'.join(map(str, how))}" for how, count in self.rejections.items()) or "none"
        broken = f", broken off: {dict(self.broken_off)}" if self.broken_off else ""
        return (
            f"{self.statuses[0]} stored in {self.seconds:.0f} s{broken}; {self.let_in} let in beyond the limit, "
            f"rejected {rejected}; storm {self.stormed['connected']} of {self.stormed.total()} connected"
        )


def crowd(target: Target, form: Form) -> Outcome:
    """All associations at once, some too many, then a series over each while others connect and close."""
    outcome, sources = Outcome(), cycle(EIGHT_ADDRESSES)
    begin = time.monotonic()
    with ThreadPoolExecutor(form["associations"]) as pool:
        opened = list(pool.map(lambda _: attempt(target, "127.0.0.1", outcome), range(form["associations"])))
        modalities = [modality for modality in opened if modality is not None]
        for _ in range(TOO_MANY):
            if (modality := attempt(target, next(sources), outcome)) is not None:
                outcome.let_in += 1
                modality.abort()
        if len(modalities) == form["associations"]:
            outcome.broken_off.clear()
        storming = threading.Thread(target=storms, args=(target, form["storm"], outcome))
        storming.start()
        for told in pool.map(lambda pair: send(pair[0], pair[1], form, outcome), enumerate(modalities, 1)):
            outcome.statuses.update(told)
        storming.join()
    outcome.seconds = time.monotonic() - begin
    return outcome


def attempt(target: Target, source: str, outcome: Outcome) -> Modality | None:
    """An association, or a note of why there is none."""
    try:
        return Modality(target.port, target.ae_title, source=source, timeout=60.0)
    except Rejected as rejected:
        outcome.rejections[rejected.answer] += 1
    except (OSError, wire.Closed) as error:
        outcome.broken_off[type(error).__name__] += 1
    return None


def series(number: int, form: Form) -> list[RawFile]:
    return list(ct_template(64).series(1400 + number, form["instances"]))


def send(number: int, modality: Modality, form: Form, outcome: Outcome) -> list[int]:
    """A series over one association; the statuses. They are counted by one thread: two would lose some."""
    told: list[int] = []
    try:
        for instance in series(number, form):
            told.append(modality.store(instance))
        modality.release()
    except (OSError, wire.Closed) as error:
        outcome.broken_off[type(error).__name__] += 1
    return told


def storms(target: Target, count: int, outcome: Outcome) -> None:
    for number, source in enumerate((*EIGHT_ADDRESSES, "127.0.0.1")):
        share = count // 9 + (number < count % 9)
        outcome.stormed.update(storm(target.port, target.ae_title, share, source))


def back_to(baseline: Footprint, now: Callable[[], Footprint], seconds: float) -> Footprint:
    """The footprint as soon as it is no more than it was, or as it is after this time."""
    deadline = time.monotonic() + seconds
    while not (found := now()).within(baseline, SPARE) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def text(target: Target, form: Form) -> str:
    """What one peer made of it. Its own limit, if it has one, is another: only what is let in counts."""
    before = Footprint.of(target.pids())
    told = crowd(target, form).text()
    after = back_to(before, lambda: Footprint.of(target.pids()), REST_SECONDS)
    return f"{told}; {target.stored()} kept; {before}, then {after}"


def warm_up(node: NodeTarget) -> Footprint:
    """What the node takes at rest once it has served: pools and containers are open."""
    with Modality(node.port, node.ae_title) as modality:
        assert modality.store(ct_template(64).instance(1, 1)) == 0x0000
    time.sleep(0.5)
    return Footprint.of(node.pids())


@pytest.mark.parametrize("form", forms(14))
def test_a_full_house(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    sent = [instance for number in range(1, form["associations"] + 1) for instance in series(number, form)]
    dicom = {"max_associations": form["associations"], "artim_timeout": 60}  # nobody is sent away for being slow
    with a_node(tmp_path / "node", dicom=dicom) as node:
        pids, before = node.pids(), warm_up(node)
        outcome = crowd(node, form)
        assert outcome.statuses == {0x0000: len(sent)}, outcome.text()
        assert not outcome.broken_off
        assert outcome.let_in == 0
        assert outcome.rejections == {LOCAL_LIMIT: TOO_MANY}
        assert outcome.stormed["failed"] == 0
        after = back_to(before, lambda: Footprint.of(node.pids()), REST_SECONDS)
        assert after.within(before, SPARE), f"{before} before, {after} after"
        wanted = {file.sop_uid for file in sent}
        node.node.wait_until(lambda: wanted <= indexed(node.node), 60.0, "the index to hold them all")
        first = ct_template(64).instance(1, 1)
        assert indexed(node.node) == {*wanted, first.sop_uid}
        assert_kept(node.node.root / "var/store", wanted, [*sent, first])
        assert node.pids() == pids
    seen = f"{outcome.text()}; {before}, then {after}"
    record_row(form, node=seen, **observed(form, tmp_path, lambda target: text(target, form)))
