"""Pixels unchanged, everything else real: to try rules, destinations and viewers without an algorithm's doubt."""

from typing import TYPE_CHECKING, Any

from dicomnode.enhance.api import Acceptance, Pipeline, SeriesFacts

if TYPE_CHECKING:
    import torch


class Passthrough(Pipeline):
    """Returns every slice as it was decoded: grayscale or colour, 8 to 32 bits, signed or not."""

    name, version = "passthrough", "1.0.0"
    title = "passthrough"
    units = "stored"
    precision = "float32"

    def accepts(self, series: SeriesFacts) -> Acceptance:
        if not list(series.components("Rows")):
            return Acceptance.no("the series holds no images")
        frames = [count for count in series.components("NumberOfFrames") if isinstance(count, int | float)]
        if frames and min(frames) > 1:
            return Acceptance.no("the series holds multi-frame images only")
        return Acceptance.yes()

    def skips(self, instance: SeriesFacts) -> str | None:
        return None if instance.only("Rows") else "not an image"

    def enhance(self, slices: "torch.Tensor", params: Any) -> "torch.Tensor":
        return slices[:, 0]
