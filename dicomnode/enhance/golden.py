"""The golden case: weights that do not give the card's numbers for a known input are not used."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.enhance.api import Pipeline, PipelineParams
from dicomnode.enhance.card import Golden
from dicomnode.enhance.errors import FAILS_GOLDEN, WeightsRefused

_FULL_STRENGTH = ("strength", "texture")


def golden_input(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The input of a golden case (see `card.Golden`), in physical units."""
    return np.random.default_rng(seed).normal(0, 50, shape).astype(np.float32)


def golden_params(pipeline: Pipeline) -> PipelineParams:
    """Defaults, but `strength` and `texture` are 1: the whole network at its adversarial end."""
    fields = pipeline.Params.model_fields
    return pipeline.Params.model_validate({name: 1.0 for name in _FULL_STRENGTH if name in fields})


def measure(
    pipeline: Pipeline,
    device: torch.device,
    *,
    seed: int,
    shape: tuple[int, int, int, int],
    tolerance: float,
    probes: int = 16,
) -> Golden:
    """The golden case of a loaded pipeline as it is now: what a trainer writes into the card."""
    output = _output(pipeline, device, seed, shape)
    return Golden(
        seed=seed,
        shape=shape,
        mean=float(output.mean(dtype=np.float64)),
        std=float(output.std(dtype=np.float64)),
        probe=tuple(float(value) for value in _probed(output, probes)),
        tolerance=tolerance,
    )


def check(pipeline: Pipeline, device: torch.device, golden: Golden, name: str) -> None:
    """Run the golden case in float32; WeightsRefused with one sentence if a number is off by more than allowed."""
    found = measure(
        pipeline,
        device,
        seed=golden.seed,
        shape=golden.shape,
        tolerance=golden.tolerance,
        probes=len(golden.probe),
    )
    pairs = {"mean": (found.mean, golden.mean), "standard deviation": (found.std, golden.std)}
    pairs |= {f"probe {i}": pair for i, pair in enumerate(zip(found.probe, golden.probe, strict=True))}
    for what, (is_now, should_be) in pairs.items():
        if not abs(is_now - should_be) <= golden.tolerance:  # so written, a NaN is refused
            raise WeightsRefused(
                f"{name} {FAILS_GOLDEN}: {what} is {is_now:.6g} instead of {should_be:.6g} +- {golden.tolerance:g}"
            )


def _output(pipeline: Pipeline, device: torch.device, seed: int, shape: tuple[int, ...]) -> NDArray[Any]:
    batch = torch.from_numpy(golden_input(seed, shape)).to(device)
    with torch.inference_mode():
        output: NDArray[Any] = pipeline.enhance(batch, golden_params(pipeline)).float().cpu().numpy()
    return output


def _probed(output: NDArray[Any], probes: int) -> NDArray[Any]:
    indices = np.linspace(0, output.size - 1, probes).round().astype(np.int64)
    return output.reshape(-1)[indices]
