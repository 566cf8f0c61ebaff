"""A pipeline with its network on a device: verified, checked against its golden case, ready to run."""

from dataclasses import dataclass
from typing import Literal

import torch

from dicomnode.enhance import golden
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.code import code_sha256
from dicomnode.enhance.device import fast_bfloat16, is_out_of_memory
from dicomnode.enhance.errors import NOT_LOADED, EnhanceError, OutOfMemory, PipelineFault
from dicomnode.enhance.lanes import lanes_for
from dicomnode.enhance.registry import Entry
from dicomnode.enhance.weights import load_weights, verify

_CUDA_BATCH = 8
_CPU_BATCH = 1


@dataclass
class LoadedPipeline:
    """What a worker keeps warm. `batch_size` and `lanes` shrink when the device ran out of memory, and stay so."""

    entry: Entry
    pipelines: tuple[Pipeline, ...]
    """One for each lane, all with the same network."""
    device: torch.device
    precision: Literal["float32", "bfloat16"]
    batch_size: int
    lanes: int
    threads: int
    """Intra-op threads of each lane, on a CPU."""

    @property
    def pipeline(self) -> Pipeline:
        return self.pipelines[0]

    @property
    def neighbours(self) -> int:
        return self.pipeline.neighbours

    @property
    def physical(self) -> bool:
        return self.pipeline.units == "physical"

    @property
    def means(self) -> tuple[str, ...]:
        """What a pixel's last bits may depend on: device, its kind, precision, library, the pipeline's code."""
        on_cuda = self.device.type == "cuda"
        kind = torch.cuda.get_device_name(self.device) if on_cuda else torch.backends.cpu.get_cpu_capability()
        return self.device.type, kind, self.precision, torch.__version__, code_sha256(self.entry.path)


def load_pipeline(
    entry: Entry, device: torch.device, batch_size: int | None = None, lanes: int | None = None
) -> LoadedPipeline:
    """Verify the weights, build the network on `device` once for each lane, check the golden case.

    On a CPU one slice runs at a time in each lane: two of 512 squared together leave the caches, and a slice's pixels
    cannot depend on which ran beside it. `lanes` is as many as torch may use threads unless given; they share those.
    Raises PipelineBroken, WeightsRefused, PipelineFault or OutOfMemory with one sentence.
    """
    threads = torch.get_num_threads()
    lanes = lanes or lanes_for(device, threads)
    pipelines = tuple(entry.create() for _ in range(lanes))
    card = verify(entry)
    tensors = load_weights(entry.weights, card.weights.sha256) if card and entry.weights else {}
    try:
        for pipeline in pipelines:
            pipeline.load(tensors, device)
        if card and card.golden:
            golden.check(pipelines[0], device, card.golden, entry.name)
    except EnhanceError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"the network of {entry.name} does not fit into the memory of {device}") from error
        raise PipelineFault(f"pipeline {entry.name} {NOT_LOADED}: {_named(error)}") from error
    return LoadedPipeline(
        entry=entry,
        pipelines=pipelines,
        device=device,
        precision="bfloat16" if pipelines[0].precision == "bfloat16" and fast_bfloat16(device) else "float32",
        batch_size=batch_size or (_CUDA_BATCH if device.type == "cuda" else _CPU_BATCH),
        lanes=lanes,
        threads=max(1, threads // lanes),
    )


def _named(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
