"""The bare network: what a pipeline's own `enhance` can do on this machine, with nothing around it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.cli.bench.timing import Timing, timed
from dicomnode.enhance.api import Pipeline, PipelineParams
from dicomnode.enhance.lanes import Lanes
from dicomnode.enhance.loaded import LoadedPipeline

Precision = Literal["float32", "bfloat16"]

_CPU_BATCHES = (1, 2, 4, 8)
_CUDA_BATCHES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Shape:
    """How a network is run: slices at once, batches side by side, torch's threads for each, autocast precision."""

    batch: int
    lanes: int
    threads: int
    precision: Precision

    @classmethod
    def of(cls, loaded: LoadedPipeline) -> "Shape":
        return cls(loaded.batch_size, loaded.lanes, loaded.threads, loaded.precision)


def placements(device: torch.device, threads: int, chosen: Shape) -> list[tuple[int, int]]:
    """(lanes, threads) worth comparing: the node's own choice, one slice over all cores, one slice on one core."""
    if device.type != "cpu":
        return [(chosen.lanes, chosen.threads)]
    return list(dict.fromkeys([(chosen.lanes, chosen.threads), (1, threads), (1, 1)]))


def shapes(device: torch.device, threads: int, chosen: Shape, precisions: Sequence[Precision]) -> Iterator[Shape]:
    """Every batch size and precision in every placement."""
    for lanes, each in placements(device, threads, chosen):
        for batch in _CPU_BATCHES if device.type == "cpu" else _CUDA_BATCHES:
            for precision in precisions:
                yield Shape(batch, lanes, each, precision)


def bare(
    pipelines: Sequence[Pipeline],
    device: torch.device,
    slices: Sequence[NDArray[Any]],
    params: PipelineParams,
    shape: Shape,
) -> Timing:
    """Run the network alone over `slices`, each (2n+1, H, W) in its units: upload, network, wait for the device.

    `pipelines` are loaded, one for each lane at least. The slices are put into batches off the clock.
    """
    batches = [np.stack(slices[at : at + shape.batch]) for at in range(0, len(slices), shape.batch)]
    half = shape.precision == "bfloat16"

    def one(pipeline: Pipeline, decoded: NDArray[Any]) -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            ready = torch.from_numpy(decoded).to(device)
            if ready.dim() == 4 and ready.is_floating_point():
                ready = ready.contiguous(memory_format=torch.channels_last)
            pipeline.enhance(ready, params)
            if device.type == "cuda":
                torch.cuda.synchronize(device)

    def work() -> None:
        with Lanes(pipelines[: shape.lanes], shape.threads) as lanes:
            for future in [lanes.run(lambda pipeline, batch=batch: one(pipeline, batch)) for batch in batches]:  # type: ignore[misc]
                future.result()

    return timed(len(slices), work)
