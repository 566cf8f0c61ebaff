"""Everything that is compared, under one face: a stack of three noisy slices in, the centre one out."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from dicomnode.enhance.api import Verdict

from ..ct_denoise import CTDenoise

Image = NDArray[np.float32]
Method = Callable[[Image], Image]
WEIGHTS = Path(__file__).parents[1] / "weights" / str(CTDenoise.weights)
ENDS: Mapping[str, float] = {"pixel end": 0.0, "adversarial end": 1.0}
"""The two networks of a file of weights, as values of `texture`."""


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
        """Load both ends."""
        self._tensors = load_file(weights)
        self.pipeline = self._loaded()

    def _loaded(self) -> CTDenoise:
        pipeline = CTDenoise()
        pipeline.load(self._tensors, torch.device("cpu"))
        return pipeline

    def at(self, strength: float, texture: float) -> Method:
        """The network at a strength and a texture (0 the pixel end, 1 the adversarial end). Safe in threads."""
        params = CTDenoise.Params(strength=strength, texture=texture)
        pipeline = self._loaded()
        pipeline.enhance(torch.zeros(1, 3, 16, 16), params)  # the network between the ends is made once, not by threads

        @torch.inference_mode()
        def method(stack: Image) -> Image:
            image: Image = pipeline.enhance(torch.from_numpy(stack)[None], params)[0].numpy()
            return image

        return method

    def guarded(self, stack: Image) -> Image:
        """What the pipeline's guards let through at the default parameters. Not to be called from two threads."""
        image, _ = self.judged(stack)
        return image

    @torch.inference_mode()
    def judged(self, stack: Image) -> tuple[Image, Verdict]:
        """What may go out at the default parameters, and the worst verdict of the guards. For one thread."""
        from dicomnode.enhance.guards.chain import apply_guards, guards_of

        params = CTDenoise.Params()
        batch = torch.from_numpy(stack)[None]
        output = self.pipeline.enhance(batch, params)
        guards = guards_of(CTDenoise.guards, strength=params.strength, features=self.pipeline.features(batch))
        bounded, (figures,) = apply_guards(guards, batch[:, 1], output)
        verdicts = {figure.verdict for figure in figures}
        worst = next(each for each in (Verdict.WITHHOLD, Verdict.FLAG, Verdict.PASS) if each in verdicts)
        image: Image = bounded[0].numpy()
        return image, worst
