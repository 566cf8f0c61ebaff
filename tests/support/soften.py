"""A pipeline as an administrator writes one: a network of one fixed 3 x 3 convolution, without weights of its own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dicomnode.enhance.api import Acceptance, Code, Pipeline, SeriesFacts

if TYPE_CHECKING:
    import torch


class Soften(Pipeline):
    """Binomial smoothing of CT and MR slices; localizers are left out."""

    name, version = "soften", "1.0.0"
    title = "soften"
    precision = "float32"
    derivation = (Code("113087", "DCM", "Smoothing"),)

    def accepts(self, series: SeriesFacts) -> Acceptance:
        if series.only("Modality") not in ("CT", "MR"):
            return Acceptance.no("only CT and MR are softened")
        return Acceptance.yes()

    def skips(self, instance: SeriesFacts) -> str | None:
        return "a localizer" if "LOCALIZER" in instance.components("ImageType") else None

    def load(self, weights: Mapping[str, "torch.Tensor"], device: "torch.device") -> None:
        import torch

        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        network = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate", bias=False)
        network.weight.data = torch.outer(row, row)[None, None]
        self._network = network.to(device).eval().requires_grad_(False)

    def enhance(self, slices: "torch.Tensor", params: Any) -> "torch.Tensor":
        smooth: torch.Tensor = self._network(slices)
        return smooth[:, 0]
