"""The two models of a comparison: pipelines by name, or files of weights in a pipeline's network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dicomnode.enhance.api import GuardLimits, Pipeline, PipelineParams, Verdict, read_limits
from dicomnode.enhance.card import ModelCard, read_card
from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.guards.chain import apply_guards, guards_of
from dicomnode.enhance.loaded import load_pipeline
from dicomnode.enhance.registry import Registry

from ..data import DataError
from ..evaluate.figures import Image


@dataclass(frozen=True)
class Side:
    """A network on the CPU in float32 at its pipeline's default parameters, with its guards and its card, if any."""

    label: str
    pipeline: Pipeline
    params: PipelineParams
    limits: GuardLimits
    card: ModelCard | None

    @torch.inference_mode()
    def run(self, stack: Image) -> Image:
        """(3, H, W) HU -> (H, W) HU, without guards."""
        output: Image = self.pipeline.enhance(torch.from_numpy(stack)[None], self.params)[0].float().numpy()
        return output

    @torch.inference_mode()
    def judged(self, stack: Image) -> tuple[Image, Verdict]:
        """What may go out, and the worst verdict of the guards."""
        batch = torch.from_numpy(stack)[None]
        output = self.pipeline.enhance(batch, self.params).float()
        strength = float(getattr(self.params, "strength", 1.0))
        guards = guards_of(self.limits, strength=strength, features=self.pipeline.features(batch))
        source = batch[:, self.pipeline.neighbours].contiguous()
        bounded, (figures,) = apply_guards(guards, source, output)
        verdicts = {figure.verdict for figure in figures}
        worst = next(each for each in (Verdict.WITHHOLD, Verdict.FLAG, Verdict.PASS) if each in verdicts)
        image: Image = bounded[0].numpy()
        return image, worst


def side(asked: str, base: str, folders: Sequence[Path]) -> Side:
    """A pipeline's name, or the path of a safetensors file that fits the network of the pipeline `base`.

    A file brings the card and the guards' limits beside it, if they are there; without limits it is judged by those of
    `base`, less the distance in features, which is another network's. Raises DataError with one sentence.
    """
    registry = Registry.load(folders)
    try:
        if registry.get(asked) is None and Path(asked).suffix:
            return _of_file(Path(asked), registry, base)
        loaded = load_pipeline(registry.usable(asked), torch.device("cpu"))
    except EnhanceError as error:
        raise DataError(str(error)) from error
    pipeline = loaded.pipeline
    if not loaded.entry.weights:
        raise DataError(f"pipeline {asked} has no weights to compare")
    return Side(asked, pipeline, pipeline.Params(), pipeline.guards, loaded.entry.card)


def _of_file(path: Path, registry: Registry, base: str) -> Side:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataError(f"there is neither a pipeline nor a file {path}")
    pipeline = registry.usable(base).create()
    try:
        pipeline.load(load_file(path), torch.device("cpu"))
    except SafetensorError as error:
        raise DataError(f"{path.name} is no safetensors file; `dicomnode models import` reads checkpoints") from error
    except (RuntimeError, KeyError, ValueError, IndexError) as error:
        raise DataError(f"{path.name} does not fit the network of {base}") from error
    own, card = path.with_suffix(".limits.toml"), path.with_suffix(".toml")
    limits = read_limits(own) if own.is_file() else replace(pipeline.guards, features=None)
    return Side(path.name, pipeline, pipeline.Params(), limits, read_card(card) if card.is_file() else None)
