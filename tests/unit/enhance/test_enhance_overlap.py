"""Decoding, networks and what follows them run at the same time: shown by who waits for whom, not by clocks.

Each of these would stand still for a minute, and fail then, if slices were done one after the other.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.errors import CannotDecode, OutOfMemory, PipelineFault
from dicomnode.enhance.images import EnhancedSlice, SourceImage
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine

pytestmark = pytest.mark.torch

SECONDS = 60.0

CALLS = """
neighbours = 1
precision = "float32"

def enhance(self, slices, params):
    self.seen(int(slices[0, 1, 0, 0]))
    return slices[:, 1] * 2
"""
SMOOTH = """
neighbours = 1
guards = GuardLimits(residual_sigmas=3.0, low_frequency_sigma=4.0)

def enhance(self, slices, params):
    import torch
    kernel = torch.linspace(-1, 2, 27).reshape(1, 3, 3, 3) / 9
    return torch.nn.functional.conv2d(slices, kernel, padding=1)[:, 0]
"""


@pytest.fixture
def prepared(header_facts, facts_of):
    """The loaded pipeline of a folder, in so many lanes, and a function that runs it; `seen` is what `CALLS` calls."""

    def prepare(folder: Path, lanes: int, seen: Callable[[int], None] | None = None, batch_size: int = 1):
        torch.set_num_threads(1)
        registry = Registry.load([folder], bundled=False, entry_points=False)
        engine = Engine(registry, "cpu", instance_facts=header_facts, batch_size=batch_size, lanes=lanes)
        loaded = engine.prepare("tiny")
        for pipeline in loaded.pipelines:
            pipeline.seen = seen

        def run(sources: list[SourceImage], **options):
            return engine.enhance(loaded, sources, {}, facts=facts_of(sources), **options)

        return loaded, run

    return prepare


def numbered(count: int) -> np.ndarray:
    """Slices of 4 x 4 that hold their number, from 1."""
    return np.stack([np.full((4, 4), index + 1, np.int16) for index in range(count)])


def watched(sources: list[SourceImage], loading: Callable[[int], None]) -> list[SourceImage]:
    """The sources; `loading` gets the number of each, from 1, before it is loaded."""

    def load(number: int, source: SourceImage) -> np.ndarray:
        loading(number)
        return source.load()

    return [
        SourceImage(one.sop_uid, one.header, lambda number=number, one=one: load(number, one))
        for number, one in enumerate(sources, start=1)
    ]


def number(image: EnhancedSlice) -> int:
    return int(image.pixels[0, 0]) // 2


def left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("decode", "lane"))]


def test_the_next_slices_are_decoded_while_the_network_runs(prepared, write_pipeline, make_sources) -> None:
    third = threading.Event()

    def seen(number: int) -> None:
        if number == 1 and not third.wait(SECONDS):
            raise RuntimeError("the network ran and nothing was decoded: one needs slices 1 and 2 for slice 1")

    _, run = prepared(write_pipeline(CALLS), 1, seen)
    sources = watched(make_sources(numbered(6)), lambda number: third.set() if number == 3 else None)
    assert [number(image) for image in run(sources).slices] == [1, 2, 3, 4, 5, 6]


def test_every_lane_has_a_slice_in_its_network(prepared, write_pipeline, make_sources) -> None:
    both = threading.Barrier(2, timeout=SECONDS)
    _, run = prepared(write_pipeline(CALLS), 2, lambda number: both.wait() and None)
    assert [number(image) for image in run(make_sources(numbered(6))).slices] == [1, 2, 3, 4, 5, 6]


def test_what_is_done_with_a_slice_goes_on_beside_the_next_networks(prepared, write_pipeline, make_sources) -> None:
    """`emit`, which writes the derived instance, does not hold the network up."""
    later = threading.Event()
    _, run = prepared(write_pipeline(CALLS), 1, lambda number: later.set() if number == 2 else None)
    waited: list[bool] = []
    run(make_sources(numbered(4)), emit=lambda image: waited.append(later.wait(SECONDS)))
    assert waited == [True] * 4


@pytest.mark.parametrize(("lanes", "batch_size", "bound"), [(1, 1, 6), (2, 1, 7), (2, 3, 19)])
def test_memory_is_bounded_however_slow_the_taker(
    prepared, write_pipeline, make_sources, lanes: int, batch_size: int, bound: int
) -> None:
    """Two batches decoded ahead, one in each lane, one that waits for a lane, one in hand; and the next neighbour.

    The bound is reached, so the taker is what holds decoding up, and it is never passed.
    """
    decoded = threading.Semaphore(0)
    loads: list[int] = []
    ahead: list[int] = []

    def loading(number: int) -> None:
        loads.append(number)
        decoded.release()

    def emit(image: EnhancedSlice) -> None:
        if not ahead:
            for _ in range(bound):
                assert decoded.acquire(timeout=SECONDS), f"only {len(loads)} were decoded ahead"
        ahead.append(len(loads) - len(ahead))

    _, run = prepared(write_pipeline(CALLS), lanes, lambda number: None, batch_size)
    run(watched(make_sources(numbered(60)), loading), emit=emit)
    assert loads == list(range(1, 61)), "each slice is decoded once, in the order of space"
    assert max(ahead) == bound


def test_lanes_change_no_number(prepared, write_pipeline, make_sources, ct_volume) -> None:
    folder = write_pipeline(SMOOTH)
    results = [prepared(folder, lanes)[1](make_sources(ct_volume)) for lanes in (1, 2, 4)]
    for result in results[1:]:
        assert result.figures == results[0].figures
        for found, expected in zip(result.slices, results[0].slices, strict=True):
            assert (found.sop_uid, found.figures, found.contributors) == (
                expected.sop_uid,
                expected.figures,
                expected.contributors,
            )
            assert np.array_equal(found.pixels, expected.pixels)


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_slice_that_cannot_be_decoded_ends_it_after_those_before_it(
    prepared, write_pipeline, make_sources, lanes: int
) -> None:
    def loading(number: int) -> None:
        if number == 5:
            raise CannotDecode("the pixel data cannot be read")

    _, run = prepared(write_pipeline(CALLS), lanes, lambda number: None)
    done: list[int] = []
    with pytest.raises(CannotDecode, match=r"^image 5: the pixel data cannot be read$"):
        run(watched(make_sources(numbered(9)), loading), emit=lambda image: done.append(number(image)))
    assert done == [1, 2, 3], "slice 4 needs slice 5"
    assert left() == []


def test_the_first_error_in_the_order_of_slices_is_the_one_that_is_told(prepared, write_pipeline, make_sources) -> None:
    """Slice 1 fails in its lane only after slice 4 could not be decoded: what is told does not depend on that."""
    broken = threading.Event()

    def loading(number: int) -> None:
        if number == 4:
            broken.set()
            raise CannotDecode("too late to matter")

    def seen(number: int) -> None:
        if number == 1:
            assert broken.wait(SECONDS)
            raise KeyError("the network")

    _, run = prepared(write_pipeline(CALLS), 2, seen)
    with pytest.raises(PipelineFault, match=r"^pipeline tiny failed: KeyError: 'the network'$"):
        run(watched(make_sources(numbered(9)), loading))
    assert left() == []


class LeaseLost(Exception):
    """What the job's own check raises."""


@pytest.mark.parametrize("stage", ["progress", "emit", "decoded"])
def test_told_to_stop_it_stops_and_leaves_no_thread(prepared, write_pipeline, make_sources, stage: str) -> None:
    loads: list[int] = []

    def stop(*_: object) -> None:
        raise LeaseLost

    options = {"progress": {"on_progress": stop}, "emit": {"emit": stop}, "decoded": {"checkpoint": stop}}
    _, run = prepared(write_pipeline(CALLS), 2, lambda number: None)
    with pytest.raises(LeaseLost):
        run(watched(make_sources(numbered(30)), loads.append), **options[stage])
    assert left() == []
    assert len(loads) <= 9, "nothing is decoded that nobody will look at"


def test_the_stages_come_in_their_order(prepared, write_pipeline, make_sources) -> None:
    """No network runs before `decoded`, all have run at `inferred`."""
    told: list[object] = []
    _, run = prepared(write_pipeline(CALLS), 2, told.append)
    run(make_sources(numbered(5)), checkpoint=told.append)
    assert (told[0], told[-1]) == ("decoded", "inferred")
    assert sorted(told[1:-1]) == [1, 2, 3, 4, 5]


def test_slices_that_do_not_fit_side_by_side_go_one_after_the_other(prepared, write_pipeline, make_sources) -> None:
    running, two = threading.Semaphore(1), threading.Event()

    def seen(number: int) -> None:
        """The first waits for a second beside it, which finds no room."""
        if not running.acquire(blocking=False):
            two.set()
            raise torch.OutOfMemoryError("two at once")
        assert two.wait(SECONDS)
        running.release()

    loaded, run = prepared(write_pipeline(CALLS), 3, seen)
    result = run(make_sources(numbered(9)))
    assert [number(image) for image in result.slices] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert (loaded.lanes, loaded.batch_size, result.verdict) == (1, 1, Verdict.PASS)
    assert [number(image) for image in run(make_sources(numbered(3))).slices] == [1, 2, 3], "and stays so"


def test_one_slice_that_never_fits_is_said_once_it_had_the_device_to_itself(
    prepared, write_pipeline, make_sources
) -> None:
    def seen(number: int) -> None:
        raise torch.OutOfMemoryError("never")

    _, run = prepared(write_pipeline(CALLS), 2, seen)
    with pytest.raises(OutOfMemory, match="one slice of pipeline tiny does not fit into the memory of cpu"):
        run(make_sources(numbered(5)))
    assert left() == []
