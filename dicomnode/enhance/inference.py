"""One batch through a network and its guards; smaller batches when the device's memory does not suffice."""

import gc
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.api import PipelineParams
from dicomnode.enhance.device import is_out_of_memory
from dicomnode.enhance.errors import OutOfMemory, PipelineFault, SeriesRefused
from dicomnode.enhance.guards.chain import apply_guards, guards_of
from dicomnode.enhance.images import Pixels
from dicomnode.enhance.loaded import LoadedPipeline
from dicomnode.enhance.window import Window

Result = tuple[int, Pixels, tuple[GuardFigure, ...]]
"""Index in the stack, output (H', W') or (H', W', 3), the guards' figures."""


def run_stack(
    loaded: LoadedPipeline, window: Window, indices: Sequence[int], params: PipelineParams
) -> Iterator[list[Result]]:
    """Enhance the slices at `indices` (ascending) batch by batch.

    A batch that does not fit into memory is halved, and the size stays so for what follows. Raises OutOfMemory when
    one slice alone does not fit, CannotDecode, SeriesRefused when the pipeline raises ValueError, PipelineFault.
    """
    todo = list(indices)
    while todo:
        now = todo[: loaded.batch_size]
        done = _try_batch(loaded, window.batch(now), params)
        if done is None:
            _make_room(loaded, len(now))
            continue
        todo = todo[len(now) :]
        yield [(index, pixels, figures) for index, (pixels, figures) in zip(now, done, strict=True)]


def _try_batch(
    loaded: LoadedPipeline, batch: NDArray[Any], params: PipelineParams
) -> list[tuple[Pixels, tuple[GuardFigure, ...]]] | None:
    """None when out of memory: returned, not raised, so that no traceback keeps the tensors alive."""
    try:
        with torch.inference_mode():
            return _run_batch(loaded, batch, params)
    except PipelineFault:
        raise
    except ValueError as error:
        raise SeriesRefused(f"pipeline {loaded.entry.name} refused the series: {error}") from error
    except Exception as error:
        if is_out_of_memory(error):
            return None
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise PipelineFault(f"pipeline {loaded.entry.name} failed: {text}") from error


def _run_batch(
    loaded: LoadedPipeline, batch: NDArray[Any], params: PipelineParams
) -> list[tuple[Pixels, tuple[GuardFigure, ...]]]:
    slices = torch.from_numpy(batch).to(loaded.device)
    if slices.dim() == 4 and slices.is_floating_point():
        slices = slices.contiguous(memory_format=torch.channels_last)
    with torch.autocast(loaded.device.type, torch.bfloat16, enabled=loaded.precision == "bfloat16"):
        output = loaded.pipeline.enhance(slices, params)
    source = slices[:, loaded.neighbours]
    _check_shape(loaded, source, output)
    if not loaded.physical:
        if output.dtype != slices.dtype:
            raise PipelineFault(f"pipeline {loaded.entry.name} returned {output.dtype} for {slices.dtype}")
        return [(pixels, ()) for pixels in output.cpu().numpy()]
    guards = guards_of(
        loaded.pipeline.guards, strength=getattr(params, "strength", 1.0), features=loaded.pipeline.features(slices)
    )
    guarded, figures = apply_guards(guards, source.contiguous(), output.float())
    return list(zip(guarded.cpu().numpy().astype(np.float32, copy=False), figures, strict=True))


def _check_shape(loaded: LoadedPipeline, source: torch.Tensor, output: Any) -> None:
    if not isinstance(output, torch.Tensor):
        raise PipelineFault(f"pipeline {loaded.entry.name} returned {type(output).__name__}, not a tensor")
    fits = output.dim() == source.dim() and len(output) == len(source)
    if not fits or (loaded.pipeline.same_grid and output.shape != source.shape):
        raise PipelineFault(
            f"pipeline {loaded.entry.name} returned the shape {tuple(output.shape)} for {tuple(source.shape)}"
        )


def _make_room(loaded: LoadedPipeline, tried: int) -> None:
    if tried == 1:
        raise OutOfMemory(f"one slice of pipeline {loaded.entry.name} does not fit into the memory of {loaded.device}")
    loaded.batch_size = tried // 2
    gc.collect()
    if loaded.device.type == "cuda":
        torch.cuda.empty_cache()
