"""The engine: one per worker process, owner of one device, keeper of warm models. Importing it loads no torch."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pydicom import Dataset

from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.ahead import Ahead
from dicomnode.enhance.api import PipelineParams
from dicomnode.enhance.guards.envelope import check_envelope
from dicomnode.enhance.images import Enhanced, EnhancedSlice, KnownSlice, SourceImage
from dicomnode.enhance.note import Note
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.selection import Plan, select
from dicomnode.enhance.summary import GuardSummary
from dicomnode.enhance.window import Batch, batches, window_uids

if TYPE_CHECKING:
    from dicomnode.enhance.loaded import LoadedPipeline

_DECODED_AHEAD = 2
"""Batches: while lanes are busy, decoding is one ahead of the one that they take next."""

_NO_NOTES: Mapping[str, Note] = {}

Known = Callable[[Sequence[tuple[str, ...]]], Sequence[KnownSlice | None]]
"""For what the network would see (`window_uids`): the slice that was made of it before, if there is one."""

__all__ = ["Engine", "Enhanced", "EnhancedSlice", "SourceImage"]


class Engine:
    """Runs pipelines on one device.

    `device` is "cpu", "cuda:0" and so on, or "auto": the first CUDA device, else the CPU. `instance_facts` gives the
    facts of one instance, which `Pipeline.skips` and the envelope read. `batch_size` is how many slices a network
    sees at once (default: 1 on a CPU, 8 on CUDA), `lanes` how many batches run side by side (default: one for each
    thread that torch may use on the CPU, 1 on CUDA).
    """

    def __init__(
        self,
        registry: Registry,
        device: str = "auto",
        *,
        instance_facts: Callable[[Dataset], SeriesFacts],
        batch_size: int | None = None,
        lanes: int | None = None,
    ) -> None:
        from dicomnode.enhance.device import open_device

        self.registry = registry
        self.instance_facts = instance_facts
        self.device = open_device(device)
        self.batch_size, self.lanes = batch_size, lanes
        self._warm: dict[str, LoadedPipeline] = {}

    def prepare(self, pipeline_name: str) -> "LoadedPipeline":
        """The pipeline with its network on the device: verified, golden case checked, kept warm for the next series.

        Raises PipelineUnknown, PipelineBroken, WeightsRefused, PipelineFault or OutOfMemory with one sentence.
        """
        from dicomnode.enhance.loaded import load_pipeline

        if pipeline_name not in self._warm:
            entry = self.registry.usable(pipeline_name)
            self._warm[pipeline_name] = load_pipeline(entry, self.device, self.batch_size, self.lanes)
        return self._warm[pipeline_name]

    def enhance(
        self,
        loaded: "LoadedPipeline",
        sources: Sequence[SourceImage],
        params: PipelineParams | Mapping[str, Any],
        *,
        facts: SeriesFacts,
        wanted: set[str] | None = None,
        notes: Mapping[str, Note] = _NO_NOTES,
        known: Known | None = None,
        recall: Callable[[KnownSlice], None] = lambda known: None,
        emit: Callable[[EnhancedSlice], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        checkpoint: Callable[[str], None] = lambda stage: None,
    ) -> Enhanced:
        """Enhance the images of a series; `sources` is the whole generation, in any order.

        Only `wanted` SOP instances are computed (all if None), and of these not what is `known`; neighbours come from
        all sources either way. Each slice goes to `emit` as soon as it is done, in the order of space, so that memory
        stays bounded; without `emit` they are collected in the result. What is known goes to `recall` when its turn
        comes. A slice is not published before the verdict of the result is known. Headers of sources that there are
        `notes` of are not read.

        Order: instances are selected (`skipped` has the others), the envelope is checked and may withhold the series
        with no slice computed; the first batch is decoded, `checkpoint("decoded")`; all batches run; then
        `checkpoint("inferred")`. `on_progress` gets (slices done, slices wanted). What is handed over is called in
        the caller's thread; what it raises ends the work, and no thread is left when it comes out here. Decoding
        (`SourceImage.load`) runs ahead in another thread, networks and guards in their lanes.

        Raises SeriesRefused, CannotDecode, ParamsRefused, PipelineFault or OutOfMemory with one sentence.
        """
        started = time.monotonic()
        complete = params if isinstance(params, PipelineParams) else loaded.entry.params(params)
        chosen = select(loaded.pipeline, sources, self.instance_facts, notes)
        envelope = check_envelope(loaded.pipeline.envelope, chosen.facts, facts)
        summary = GuardSummary([envelope])
        collected: list[EnhancedSlice] = []

        def done(image: EnhancedSlice | KnownSlice) -> None:
            summary.add(image.sop_uid, image.figures)
            if isinstance(image, KnownSlice):
                recall(image)
            else:
                (emit or collected.append)(image)

        if envelope.verdict is not Verdict.WITHHOLD:
            _run(loaded, chosen.plan(wanted), complete, known, done, on_progress, checkpoint)
        return Enhanced(
            verdict=summary.verdict(),
            figures=summary.figures(),
            skipped=chosen.skipped,
            batch_size=loaded.batch_size,
            seconds=time.monotonic() - started,
            device=str(loaded.device),
            precision=loaded.precision,
            slices=tuple(collected),
        )


def compute(
    loaded: "LoadedPipeline",
    plan: Plan,
    params: PipelineParams,
    checkpoint: Callable[[str], None] = lambda stage: None,
) -> Generator[EnhancedSlice, None, None]:
    """The slices of the plan, one after the other, in its order. Whoever stops early closes the iterator.

    `checkpoint("decoded")` when the first batch is decoded, or none is to be. Raises as `Engine.enhance` does.
    """
    decoded = batches(plan, neighbours=loaded.neighbours, physical=loaded.physical, size=lambda: loaded.batch_size)
    if not plan:
        checkpoint("decoded")
        return
    from dicomnode.enhance.inference import run_batches

    with (
        Ahead(decoded, _DECODED_AHEAD, "decode") as ahead,
        closing(run_batches(loaded, _announced(ahead, checkpoint), params)) as finished,
    ):
        for batch, outputs in finished:
            for uid, seen, (pixels, figures) in zip(batch.sop_uids, batch.contributors, outputs, strict=True):
                yield EnhancedSlice(uid, pixels, loaded.pipeline.units, figures, seen)


def _run(
    loaded: "LoadedPipeline",
    plan: Plan,
    params: PipelineParams,
    known: Known | None,
    done: Callable[[EnhancedSlice | KnownSlice], None],
    on_progress: Callable[[int, int], None] | None,
    checkpoint: Callable[[str], None],
) -> None:
    order = [stack[index].sop_uid for stack, indices in plan for index in indices]
    windows = [window_uids(stack, index, loaded.neighbours) for stack, indices in plan for index in indices]
    found = known(windows) if known else ()
    there = {image.sop_uid: image for image in found if image is not None}
    with closing(compute(loaded, _without(plan, there), params, checkpoint)) as computed:
        for count, uid in enumerate(order, 1):
            done(there[uid] if uid in there else next(computed))
            if on_progress:
                on_progress(count, len(order))
        next(computed, None)
    checkpoint("inferred")


def _without(plan: Plan, there: Mapping[str, KnownSlice]) -> Plan:
    left = [(stack, [index for index in indices if stack[index].sop_uid not in there]) for stack, indices in plan]
    return [(stack, indices) for stack, indices in left if indices]


def _announced(decoded: Iterable[Batch], checkpoint: Callable[[str], None]) -> Iterator[Batch]:
    """The batches; `checkpoint("decoded")` when there is a first one."""
    for number, batch in enumerate(decoded):
        if number == 0:
            checkpoint("decoded")
        yield batch
