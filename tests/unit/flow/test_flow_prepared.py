"""Instances are written beside the network; a flag writes them anew; whoever lost the claim leaves nothing."""

import threading
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update
from support.flowbench import FlowBench
from support.series import make_ct_series

from dicomnode.db.models import Enhancement
from dicomnode.derive import DerivedInstance
from dicomnode.derive.errors import BrokenInstance, CannotDerive
from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.enhance.images import EnhancedSlice
from dicomnode.flow.enhancing import job
from dicomnode.flow.enhancing.prepared import Prepared
from dicomnode.flow.enhancing.written import Written
from dicomnode.jobs.ledger import RetryPolicy
from dicomnode.jobs.worker import Held, Worker, WorkerLimits

COUNT = 12

RULE = """
  - name: watched
    state: live
    when: {all: []}
    enhance: {pipeline: watched}
    deliver_to: [pacs]
"""
WATCHED = """
from dicomnode.enhance.api import Acceptance, GuardLimits, Pipeline


class Watched(Pipeline):
    name, version, title = "watched", "1.0.0", "watched"
    GUARDS

    @staticmethod
    def seen(count):
        pass

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        Watched.seen(len(slices))
        return slices[:, 0]
"""


def enhanced(number: int, verdict: Verdict = Verdict.PASS) -> EnhancedSlice:
    figure = GuardFigure("finite", verdict, 0, 0, "pixels")
    return EnhancedSlice(f"1.2.{number}", np.full((2, 2), number, np.float32), "physical", (figure,), ())


def instance(image: EnhancedSlice, word: str = "clean") -> DerivedInstance:
    content = f"{word} {image.pixels[0, 0]:g}".encode()
    return DerivedInstance(f"9.{image.sop_uid}", "class", "syntax", image.sop_uid, content)


class Writer:
    """Writes instances and notes for which slices; cannot write those named in `broken`."""

    def __init__(self, broken: str = "", error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.broken, self.error = broken, error

    def __call__(self, image: EnhancedSlice) -> DerivedInstance:
        self.calls.append(image.sop_uid)
        if self.error and image.sop_uid == self.broken:
            raise self.error
        return instance(image)


def test_what_is_not_flagged_is_written_once_as_it_comes(tmp_path: Path) -> None:
    writer, noted = Writer(), []
    with Prepared(tmp_path, tmp_path, writer) as prepared:
        for number in range(5):
            prepared.add(enhanced(number))
            assert len(writer.calls) == number + 1
        assert list(prepared.files(None, noted.append)) == [f"clean {number}".encode() for number in range(5)]
    assert len(writer.calls) == 5
    assert [written.sha256 for written in noted] == [sha256(f"clean {n}".encode()).hexdigest() for n in range(5)]
    assert noted[3] == Written("1.2.3", "9.1.2.3", "class", "syntax", noted[3].sha256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verdict", [Verdict.FLAG, Verdict.WITHHOLD])
def test_a_flag_ends_the_preparing_and_writes_all_anew(tmp_path: Path, verdict: Verdict) -> None:
    writer, noted = Writer(), []
    with Prepared(tmp_path, tmp_path, writer) as prepared:
        for number in range(6):
            prepared.add(enhanced(number, verdict if number == 2 else Verdict.PASS))
        assert writer.calls == ["1.2.0", "1.2.1"]
        files = list(prepared.files(partial(instance, word="flagged"), noted.append))
    assert files == [f"flagged {number}".encode() for number in range(6)]
    assert [written.source_sop_uid for written in noted] == [f"1.2.{number}" for number in range(6)]


@pytest.mark.parametrize("error", [CannotDerive("no geometry"), BrokenInstance("a fault")])
def test_what_cannot_be_written_is_an_error_where_it_is_asked_for(tmp_path: Path, error: Exception) -> None:
    writer, noted = Writer("1.2.3", error), []
    with Prepared(tmp_path, tmp_path, writer) as prepared:
        for number in range(6):
            prepared.add(enhanced(number))
        files = prepared.files(None, noted.append)
        assert [next(files) for _ in range(3)] == [b"clean 0", b"clean 1", b"clean 2"]
        with pytest.raises(type(error), match=str(error)):
            next(files)
    assert len(noted) == 3


@pytest.fixture
def node(tmp_path: Path) -> Callable[..., FlowBench]:
    """A node with the pipeline `watched`, a series of so many slices received and complete."""

    def make(guards: str = "pass", count: int = COUNT) -> FlowBench:
        bench = FlowBench(tmp_path / "node", RULE, WATCHED.replace("GUARDS", guards))
        bench.receive_files(make_ct_series(tmp_path / "ct", count, rows=64))
        bench.complete()
        return bench

    return make


def watch(bench: FlowBench, seen: Callable[[int], None]) -> None:
    """`seen` is called in each network."""
    bench.flow.registry.usable("watched").pipeline.seen = staticmethod(seen)  # type: ignore[union-attr]


@pytest.mark.torch
def test_instances_are_written_while_the_network_still_runs(node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of the last slice waits for the first instance: written after it, it would wait in vain."""
    first, slices = threading.Event(), []
    bench = node()

    def seen(count: int) -> None:
        slices.append(count)
        if len(slices) == COUNT and not first.wait(60):
            raise RuntimeError("nothing was written while the network ran")

    watch(bench, seen)
    monkeypatch.setattr("dicomnode.flow.enhancing.job.derive_slice", partial(_after, first.set, job.derive_slice))
    bench.work()
    assert [row.state for row in bench.enhancements()] == ["done"]
    assert len(bench.outputs()) == COUNT


def _after(call: Callable[[], None], function: Callable[..., DerivedInstance], *arguments: object) -> DerivedInstance:
    made = function(*arguments)
    call()
    return made


@pytest.mark.torch
def test_a_flagged_series_says_so_in_every_image(node) -> None:
    bench = node("guards = GuardLimits(body_share=(-2.0, -1.0, 0.1, 2.0), body_above=-300.0)", 5)
    bench.work()
    (row,) = bench.enhancements()
    assert (row.state, row.verdict) == ("done", "flag")
    comments = {str(bench.read(output).ImageComments) for output in bench.outputs()}
    assert len(bench.outputs()) == 5
    assert len(comments) == 1
    assert "the body's share" in comments.pop()


@pytest.mark.torch
def test_the_ledger_knows_the_bytes_that_were_prepared(node) -> None:
    bench = node(count=4)
    bench.work()
    (container,) = (bench.flow.root / job.STAGING).rglob("*.tar")
    content = container.read_bytes()
    for output in bench.outputs():
        assert sha256(content[output.offset : output.offset + output.length]).hexdigest() == output.sha256
        assert str(bench.read(output).SOPInstanceUID) == output.sop_uid


@pytest.mark.torch
def test_a_lost_lease_ends_the_work_between_two_slices(node) -> None:
    """While a network runs, somebody else gets the claim: the slices that are left are not begun."""
    bench, before = node(count=30), set(threading.enumerate())
    held: list[Held] = []
    networks: list[int] = []

    def seen(count: int) -> None:
        networks.append(count)
        if len(networks) == 3:
            with bench.flow.database.write() as session:
                session.execute(update(Enhancement).values(attempt=Enhancement.attempt + 1))
        if len(networks) >= 3:
            until = time.monotonic() + 60
            while not held[0].is_interrupted and time.monotonic() < until:
                time.sleep(0.01)

    def run(claimed: Held) -> None:
        held.append(claimed)
        bench.worker._run_job(claimed)

    watch(bench, seen)
    limits = WorkerLimits(0.3, 600, RetryPolicy(max_attempts=2, retry_seconds=0))
    Worker("n/cpu/1", "n", bench.flow.database, run, limits).run_one()
    assert held[0].is_interrupted
    assert 3 <= len(networks) <= 12
    assert bench.outputs() == []
    assert [row.state for row in bench.enhancements()] == ["running"]
    assert [path for path in (bench.flow.root / job.STAGING).rglob("*") if path.is_file()] == []
    assert [one.name for one in set(threading.enumerate()) - before if one.name.startswith(("lane", "decode"))] == []
