"""Three speeds of one pipeline, in turns: bare network, pipeline in memory, store to derived file."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from numpy.typing import NDArray

from dicomnode.cli.bench.device import described
from dicomnode.cli.bench.networks import Precision, Shape, bare, placements, shapes
from dicomnode.cli.bench.node import BenchNode
from dicomnode.cli.bench.series import Series, in_memory
from dicomnode.cli.bench.timing import Speed, Timing, peak_memory_mib, timed
from dicomnode.cli.common import fail
from dicomnode.complete.facts import combine, instance_facts
from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.images import EnhancedSlice, SourceImage
from dicomnode.enhance.loaded import LoadedPipeline
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine
from dicomnode.enhance.selection import select
from dicomnode.enhance.window import batches
from dicomnode.flow.enhancing.deriving import vetoes
from dicomnode.settings import Settings

BARE, PIPELINE, STORED = "bare network", "pipeline in memory", "store to derived"

_WARM_UP = 4
_TABLE_SLICES = 8
Step = Callable[[str], None]
"""Told what was just measured."""


@dataclass
class Bench:
    """One pipeline on one device, and the timings so far."""

    settings: Settings
    registry: Registry
    engine: Engine
    loaded: LoadedPipeline
    series: Series
    stages: dict[tuple[str, Shape], list[Timing]] = field(default_factory=lambda: defaultdict(list))
    table: dict[Shape, list[Timing]] = field(default_factory=lambda: defaultdict(list))
    verdict: str = ""
    memory_mib: float = 0.0
    """The most that the process took until the table, whose large batches are not what the node runs."""

    def __post_init__(self) -> None:
        self.params = self.loaded.entry.params({})
        self.chosen = Shape.of(self.loaded)
        self.sources = list(in_memory(self.series(None)))
        self.facts: SeriesFacts = combine(instance_facts(source.header) for source in self.sources)
        self.ready = list(_decoded(self.loaded, self.sources))

    @property
    def precisions(self) -> list[Precision]:
        return list(dict.fromkeys((self.loaded.precision, "float32")))

    @property
    def variants(self) -> list[Shape]:
        """The placements that are compared at the node's own batch size and precision; its own comes first."""
        found = placements(self.loaded.device, torch.get_num_threads(), self.chosen)
        return [replace(self.chosen, lanes=lanes, threads=threads) for lanes, threads in found]

    def steps(self, repeats: int) -> int:
        """How often `run` says what it measured."""
        return repeats * (len(self._shapes()) + 2 * len(self.variants) + 1)

    def run(self, repeats: int, told: Step) -> None:
        """Measure everything `repeats` times, in turns, so that what else the machine does meets all alike."""
        with TemporaryDirectory(prefix="dicomnode-bench-") as folder:
            node = BenchNode(Path(folder), self.settings, self.registry, self.loaded.entry.name, self.engine)
            try:
                self._in_memory(self.chosen, self.sources[:_WARM_UP])
                node.job(self.series(_WARM_UP))
                for _ in range(repeats):
                    self._stages(node, told)
                    self.memory_mib = self.memory_mib or peak_memory_mib()
                    self._table(told)
            finally:
                node.close()

    def _stages(self, node: BenchNode, told: Step) -> None:
        for shape in self.variants:
            self.stages[BARE, shape].append(self._bare(shape, self.ready))
            told(BARE)
            self.stages[PIPELINE, shape].append(self._in_memory(shape, self.sources))
            told(PIPELINE)
        timing, self.verdict = node.job(self.series(None))
        self.stages[STORED, self.chosen].append(timing)
        told(STORED)

    def _table(self, told: Step) -> None:
        for shape in self._shapes():
            count = max(_TABLE_SLICES, 2 * shape.batch * shape.lanes)
            slices = [self.ready[index % len(self.ready)] for index in range(count)]
            self.table[shape].append(self._bare(shape, slices))
            told(BARE)

    def _shapes(self) -> list[Shape]:
        return list(shapes(self.loaded.device, torch.get_num_threads(), self.chosen, self.precisions))

    def _bare(self, shape: Shape, slices: list[NDArray[Any]]) -> Timing:
        return bare(self.loaded.pipelines, self.loaded.device, slices, self.params, shape)

    def _in_memory(self, shape: Shape, sources: list[SourceImage]) -> Timing:
        loaded = replace(self.loaded, lanes=shape.lanes, threads=shape.threads, batch_size=shape.batch)
        done: list[str] = []

        def emit(image: EnhancedSlice) -> None:
            done.append(image.sop_uid)

        def work() -> None:
            result = self.engine.enhance(loaded, sources, self.params, facts=self.facts, emit=emit)
            if not done:
                fail(f"the pipeline computes nothing of this series: {vetoes(result)}")

        timing = timed(1, work)
        return replace(timing, slices=len(done))

    def document(self, repeats: int) -> dict[str, Any]:
        """All that was measured, for JSON."""
        stages = [{"stage": name, **vars(shape), **vars(Speed.of(t))} for (name, shape), t in self.stages.items()]
        table = [{**vars(shape), **vars(Speed.of(timings))} for shape, timings in self.table.items()]
        best = max(table, key=lambda row: row["slices_per_second"])
        entry = self.loaded.entry
        return {
            "machine": described(self.loaded.device),
            "pipeline": {
                "name": entry.name,
                "version": entry.version,
                "weights_sha256": entry.card.weights.sha256 if entry.card else None,
            },
            "series": {
                "slices": len(self.sources),
                "rows": int(self.sources[0].header.Rows),
                "columns": int(self.sources[0].header.Columns),
                "transfer_syntax": str(self.sources[0].header.file_meta.TransferSyntaxUID),
                "verdict": self.verdict,
            },
            "repeats": repeats,
            "bare": {"best": best, "table": table},
            "stages": stages,
            "ratios": self._ratios(best["slices_per_second"]),
            "peak_memory_mib": round(self.memory_mib),
        }

    def _ratios(self, best: float) -> dict[str, Any]:
        """Of two stages in the same repeat, then the median: load that comes and goes does less harm."""
        own = {name: self.stages[name, self.chosen] for name in (BARE, PIPELINE, STORED)}
        return {
            "pipeline_of_bare": _ratio(own[PIPELINE], own[BARE]),
            "store_to_derived_of_bare": _ratio(own[STORED], own[BARE]),
            "pipeline_of_bare_by_placement": [
                {
                    "lanes": shape.lanes,
                    "threads": shape.threads,
                    "ratio": _ratio(self.stages[PIPELINE, shape], self.stages[BARE, shape]),
                }
                for shape in self.variants
            ],
            "pipeline_of_best_bare": round(Speed.of(own[PIPELINE]).slices_per_second / best, 3),
        }


def _ratio(of: list[Timing], to: list[Timing]) -> float:
    pairs = zip(of, to, strict=True)
    found = statistics.median((a.slices / a.wall) / (b.slices / b.wall) for a, b in pairs)
    return float(f"{found:.3g}")


def _decoded(loaded: LoadedPipeline, sources: list[SourceImage]) -> Iterator[NDArray[Any]]:
    """Each slice with its neighbours, (2n+1, H, W) in the pipeline's units."""
    plan = select(loaded.pipeline, sources, instance_facts).plan(None)
    for batch in batches(plan, neighbours=loaded.neighbours, physical=loaded.physical, size=lambda: 1):
        yield batch.slices[0]
