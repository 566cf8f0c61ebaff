"""Everything that is compared, under one face: a stack of three noisy slices in, the centre one out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from ..ct_denoise import CTDenoise

Image = NDArray[np.float32]
Method = Callable[[Image], Image]
WEIGHTS = Path(__file__).parents[1] / "weights" / str(CTDenoise.weights)


def unchanged(stack: Image) -> Image:
    """The noisy slice itself."""
    centre: Image = stack[1]
    return centre


def filtered(method: Method, strength: float = 1.0) -> Method:
    """A filter of single slices, blended with its input as the network is."""
    return lambda stack: stack[1] + np.float32(strength) * (method(stack[1]) - stack[1])


class Network:
    """The pipeline on the CPU in float32, as the node runs it but for batching; with its guards if asked for."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self.pipeline = CTDenoise()
        self.pipeline.load(load_file(weights), torch.device("cpu"))

    def at(self, strength: float, texture: float, guarded: bool = False) -> Method:
        """The network at a strength and a texture (0 the pixel end, 1 the adversarial end)."""
        params = CTDenoise.Params(strength=strength, texture=texture)

        @torch.inference_mode()
        def method(stack: Image) -> Image:
            batch = torch.from_numpy(stack)[None]
            output = self.pipeline.enhance(batch, params)
            if guarded:
                output = _guarded(batch[:, 1], output)
            image: Image = output[0].numpy()
            return image

        return method


def _guarded(source: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """What the node's pixel guards let through; a slice that they withhold is an error here."""
    from dicomnode.enhance.guards.chain import apply_guards, guards_of

    bounded, figures = apply_guards(guards_of(CTDenoise.guards), source, output)
    withheld = [figure for row in figures for figure in row if figure.verdict == "withhold"]
    if withheld:
        raise ValueError(f"the guard {withheld[0].guard} withholds this slice: {withheld[0].reason}")
    return bounded
