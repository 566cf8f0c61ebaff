"""All that a pipeline file imports. A pipeline is one file with one `Pipeline` subclass in it.

This module loads without torch: the node lists pipelines, checks parameters and plans work in processes that
never touch a GPU. A pipeline imports torch inside `load`, `enhance` or under `TYPE_CHECKING`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.enhance.limits import FeatureReference, GuardFactors, GuardLimits, read_limits

if TYPE_CHECKING:
    import torch

__all__ = [
    "Acceptance",
    "AttributeFacts",
    "Code",
    "Envelope",
    "FeatureReference",
    "Field",
    "GuardFactors",
    "GuardFigure",
    "GuardLimits",
    "Pipeline",
    "PipelineParams",
    "SeriesFacts",
    "Verdict",
    "read_limits",
]


class PipelineParams(BaseModel):
    """Base of a pipeline's `Params`: frozen, unknown names refused; its JSON schema is the form in the rule editor.

    Defaults and values are part of the output's identity, which is written as JSON: NaN and infinity are none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Acceptance:
    """Whether a pipeline takes a series; `reason` is what the administrator reads when it does not."""

    accepted: bool
    reason: str = ""

    @classmethod
    def yes(cls) -> "Acceptance":
        return cls(True)

    @classmethod
    def no(cls, reason: str) -> "Acceptance":
        return cls(False, reason)


@dataclass(frozen=True)
class Code:
    """A coded concept: value, coding scheme, meaning (PS3.16)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Envelope:
    """The metadata a model was trained for. A series outside it is withheld before a network sees it.

    `text` maps an attribute to the allowed values (compared without case); `number` maps one to its closed interval.
    An absent attribute is inside unless it is listed in `required`.
    """

    text: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    number: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    required: tuple[str, ...] = ()


class Pipeline(ABC):
    """One way of enhancing a series. Class attributes say what it is; three methods say what it does.

    Decoding, batching, device, precision, back-off on out-of-memory, guards and DICOM writing are the node's work.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    title: ClassVar[str] = ""
    """A few words, appended to SeriesDescription in brackets, e.g. "AI denoise"."""
    weights: ClassVar[str | None] = None
    """File name in `weights/` beside the pipeline; its model card is the same name with `.toml`."""
    scope: ClassVar[Literal["slice", "volume"]] = "slice"
    neighbours: ClassVar[int] = 0
    """Slices on each side that the network sees."""
    units: ClassVar[Literal["physical", "stored"]] = "physical"
    """`physical`: float32 after the modality LUT (HU for CT). `stored`: integers exactly as decoded."""
    derivation: ClassVar[tuple[Code, ...]] = ()
    envelope: ClassVar[Envelope] = Envelope()
    guards: ClassVar[GuardLimits] = GuardLimits()
    precision: ClassVar[Literal["float32", "bfloat16"]] = "bfloat16"
    """Autocast precision where the device is fast at it; the node may always use float32."""
    same_grid: ClassVar[bool] = True
    Params: ClassVar[type[PipelineParams]] = PipelineParams

    @abstractmethod
    def accepts(self, series: SeriesFacts) -> Acceptance:
        """Yes, or no with a reason an administrator reads. Called before any work is created."""

    def skips(self, instance: SeriesFacts) -> str | None:
        """Why this one instance is left out (a localizer, a report), or None. Facts are of the instance alone."""
        return None

    def load(self, weights: Mapping[str, "torch.Tensor"], device: "torch.device") -> None:
        """Build the network and put it on `device`, in evaluation mode. Called once, before `enhance`.

        On a CPU a worker has several instances, each used by one thread at a time: keep what changes in `self`.
        """
        return None

    @abstractmethod
    def enhance(self, slices: "torch.Tensor", params: Any) -> "torch.Tensor":
        """Enhance a batch. (B, 2*neighbours+1, H, W) in `units` -> (B, H', W').

        At the ends of a series the nearest slice is repeated. With `units = "stored"` colour images come as
        (B, 1, H, W, 3) and go back as (B, H, W, 3). Raise ValueError to refuse the series with a plain reason.
        """

    def features(self, slices: "torch.Tensor") -> "torch.Tensor | None":
        """What the network's bottleneck makes of a batch, (B, F), or None: see `GuardLimits.features`.

        Called right after `enhance` with the same batch, so that a pipeline may keep what it computed there.
        """
        return None
