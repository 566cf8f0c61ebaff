"""Batches through a network and its guards, side by side; smaller batches when the device's memory does not suffice."""

import gc
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.api import Pipeline, PipelineParams
from dicomnode.enhance.device import is_out_of_memory
from dicomnode.enhance.errors import OutOfMemory, PipelineFault, SeriesRefused
from dicomnode.enhance.guards.chain import apply_guards, guards_of
from dicomnode.enhance.images import Pixels
from dicomnode.enhance.lanes import Lanes
from dicomnode.enhance.loaded import LoadedPipeline
from dicomnode.enhance.window import Batch

Output = tuple[Pixels, tuple[GuardFigure, ...]]
"""One slice: (H', W') or (H', W', 3), and the figures of its guards."""

_Flight = tuple[Batch, Future[list[Output] | None]]
"""A batch under way. Out of memory is None: returned, not raised, so that no traceback keeps the tensors alive."""


def run_batches(
    loaded: LoadedPipeline, batches: Iterable[Batch], params: PipelineParams
) -> Generator[tuple[Batch, list[Output]], None, None]:
    """Enhance batches, one in each lane and one that waits; they come out in the order in which they went in.

    What lies before a batch that fails, or that cannot be had, comes out first: as if they ran one after the other. A
    batch that does not fit into memory is tried again with nothing beside it, then halved, and both stay so for what
    follows. Raises what `batches` raises, OutOfMemory when one slice alone does not fit, SeriesRefused when the
    pipeline raises ValueError, PipelineFault. Whoever stops early closes the iterator.
    """
    flying: deque[_Flight] = deque()
    failure: Exception | None = None
    coming = iter(batches)
    with Lanes(loaded.pipelines[: loaded.lanes], loaded.threads) as lanes:
        while failure is None:
            try:
                batch = next(coming)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            flying.append((batch, lanes.run(partial(_try_batch, loaded, batch.slices, params))))
            if len(flying) > loaded.lanes + 1:
                yield _landed(loaded, lanes, flying, params)
        while flying:
            yield _landed(loaded, lanes, flying, params)
    if failure is not None:
        raise failure


def _landed(
    loaded: LoadedPipeline, lanes: Lanes, flying: deque[_Flight], params: PipelineParams
) -> tuple[Batch, list[Output]]:
    """The first batch under way, when it is done."""
    batch, future = flying.popleft()
    outputs = future.result()
    if outputs is None:
        wait([other for _, other in flying])
        outputs = _in_less_room(loaded, lanes, batch.slices, params)
    return batch, outputs


def _in_less_room(loaded: LoadedPipeline, lanes: Lanes, slices: NDArray[Any], params: PipelineParams) -> list[Output]:
    """Run a batch that did not fit while nothing else runs: as it is, then in ever smaller parts."""
    lanes.narrow()
    loaded.lanes = 1
    outputs: list[Output] = []
    while len(outputs) < len(slices):
        now = slices[len(outputs) :][: loaded.batch_size]
        done = lanes.run(partial(_try_batch, loaded, now, params)).result()
        if done is None:
            _make_room(loaded, len(now))
        else:
            outputs += done
    return outputs


def _try_batch(
    loaded: LoadedPipeline, slices: NDArray[Any], params: PipelineParams, pipeline: Pipeline
) -> list[Output] | None:
    """What a lane does. None when out of memory."""
    try:
        with torch.inference_mode():
            return _run_batch(loaded, pipeline, slices, params)
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
    loaded: LoadedPipeline, pipeline: Pipeline, decoded: NDArray[Any], params: PipelineParams
) -> list[Output]:
    slices = torch.from_numpy(decoded).to(loaded.device)
    if slices.dim() == 4 and slices.is_floating_point():
        slices = slices.contiguous(memory_format=torch.channels_last)
    with torch.autocast(loaded.device.type, torch.bfloat16, enabled=loaded.precision == "bfloat16"):
        output = pipeline.enhance(slices, params)
    source = slices[:, loaded.neighbours]
    _check_shape(loaded, source, output)
    if not loaded.physical:
        if output.dtype != slices.dtype:
            raise PipelineFault(f"pipeline {loaded.entry.name} returned {output.dtype} for {slices.dtype}")
        return [(pixels, ()) for pixels in output.cpu().numpy()]
    limits = pipeline.guards.adjusted(getattr(params, "guards", {}))
    guards = guards_of(limits, strength=getattr(params, "strength", 1.0), features=pipeline.features(slices))
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
    loaded.batch_size = min(loaded.batch_size, tried // 2)
    gc.collect()
    if loaded.device.type == "cuda":
        torch.cuda.empty_cache()
