"""A pipeline with its network on a device: verified, checked against its golden case, ready to run."""

from dataclasses import dataclass
from typing import Literal

import torch

from dicomnode.enhance import golden
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.device import fast_bfloat16, is_out_of_memory
from dicomnode.enhance.errors import EnhanceError, OutOfMemory, PipelineFault
from dicomnode.enhance.registry import Entry
from dicomnode.enhance.weights import load_weights, verify

_CUDA_BATCH = 8
_CPU_BATCH = 1


@dataclass
class LoadedPipeline:
    """What a worker keeps warm. `batch_size` shrinks when the device ran out of memory, and stays so."""

    entry: Entry
    pipeline: Pipeline
    device: torch.device
    precision: Literal["float32", "bfloat16"]
    batch_size: int

    @property
    def neighbours(self) -> int:
        return self.pipeline.neighbours

    @property
    def physical(self) -> bool:
        return self.pipeline.units == "physical"


def load_pipeline(entry: Entry, device: torch.device, batch_size: int | None = None) -> LoadedPipeline:
    """Verify the weights, build the network on `device`, check the golden case.

    On a CPU one slice runs at a time: a slice of 512 squared fills the cores, and its pixels then cannot depend on
    which slices ran beside it. Raises PipelineBroken, WeightsRefused, PipelineFault or OutOfMemory with one sentence.
    """
    pipeline = entry.create()
    card = verify(entry)
    tensors = load_weights(entry.weights, card.weights.sha256) if card and entry.weights else {}
    try:
        pipeline.load(tensors, device)
        if card and card.golden:
            golden.check(pipeline, device, card.golden, entry.name)
    except EnhanceError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"the network of {entry.name} does not fit into the memory of {device}") from error
        raise PipelineFault(f"pipeline {entry.name} could not load its network: {_named(error)}") from error
    return LoadedPipeline(
        entry=entry,
        pipeline=pipeline,
        device=device,
        precision="bfloat16" if pipeline.precision == "bfloat16" and fast_bfloat16(device) else "float32",
        batch_size=batch_size or (_CUDA_BATCH if device.type == "cuda" else _CPU_BATCH),
    )


def _named(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
