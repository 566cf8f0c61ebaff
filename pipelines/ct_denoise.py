"""CT denoising with a residual GAN; what it was trained on and how it fares is in its model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomnode.enhance.api import (
    Acceptance,
    Code,
    Envelope,
    Field,
    GuardFactors,
    Pipeline,
    PipelineParams,
    SeriesFacts,
    read_limits,
)

if TYPE_CHECKING:
    import torch

    from .gan.generator import Generator

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
_FEWEST_SLICES = 3


class CTDenoise(Pipeline):
    """Three neighbouring CT slices in, the centre one with less noise out."""

    name = "ct-denoise"
    version = "1.1.0"
    title = "AI denoise"
    weights = "ct-denoise-1.1.safetensors"
    neighbours = 1
    derivation = (
        Code("113087", "DCM", "Smoothing"),
        Code("DENOISE", "99DICOMNODE", "Noise reduction by deep learning"),
    )
    envelope = Envelope(
        text={"Modality": ("CT",), "RescaleType": ("HU",)},
        number={"KVP": (70, 150), "SliceThickness": (0.5, 6.0), "PixelSpacing": (0.3, 1.5)},
        required=("PixelSpacing",),
    )
    guards = read_limits(Path(__file__).parent / "weights" / "ct-denoise-1.1.limits.toml")

    class Params(PipelineParams):
        """How much of the change is applied, which of the two ends it comes from, and how strict the guards are."""

        strength: float = Field(0.9, ge=0, le=1, description="0 keeps the original, 1 is the full network output")
        texture: float = Field(1.0, ge=0, le=1, description="0 is the smoothest end, 1 the end with natural texture")
        guards: GuardFactors = Field({}, description="Factors on guard limits: above 1 laxer, below 1 stricter")

    def accepts(self, series: SeriesFacts) -> Acceptance:
        """CT images with at least three slices beside localizers; the envelope looks at the rest."""
        modality = series.only("Modality")
        if modality != "CT":
            return Acceptance.no(f"Modality is {modality or 'not given'}; this pipeline takes CT")
        classes = _counts(series, "SOPClassUID")
        images = sum(count for value, count in classes.items() if value[0] == CT_IMAGE_STORAGE)
        if not images:
            return Acceptance.no(
                "no instance is a CT Image (enhanced multi-frame CT and screen captures are not taken)"
            )
        localizers = sum(count for value, count in _counts(series, "ImageType").items() if "LOCALIZER" in value)
        if images - localizers < _FEWEST_SLICES:
            return Acceptance.no(
                f"{max(images - localizers, 0)} slices beside localizers; a slice is denoised from its neighbours too, "
                f"so at least {_FEWEST_SLICES} are needed"
            )
        return Acceptance.yes()

    def skips(self, instance: SeriesFacts) -> str | None:
        """Localizers, and whatever else in the series is not an axial CT image."""
        if instance.only("SOPClassUID") not in (CT_IMAGE_STORAGE, None):
            return "not a CT Image"
        if "LOCALIZER" in instance.components("ImageType"):
            return "a localizer"
        return None

    def load(self, weights: Mapping[str, "torch.Tensor"], device: "torch.device") -> None:
        """Keep both ends on the device; a network between them is made when a texture is first asked for."""
        self._ends = tuple(
            {name.removeprefix(f"{end}."): value.to(device) for name, value in weights.items() if name.startswith(end)}
            for end in ("pixel", "adversarial")
        )
        self._device = device
        self._calibrated = False
        self._ready: tuple[float, Generator] | None = None
        self._network(self.Params().texture)

    def enhance(self, slices: "torch.Tensor", params: Any) -> "torch.Tensor":
        """(B, 3, H, W) HU -> (B, H, W) HU: the centre slice, moved towards the network's output by `strength`."""
        centre = slices[:, 1].float()
        self._calibrated = params.texture == self.Params().texture
        return centre.lerp(self._network(params.texture)(slices), params.strength)

    def features(self, slices: "torch.Tensor") -> "torch.Tensor | None":
        """(B, F): mean and spread over the slice of each channel at the bottleneck, kept from `enhance`.

        None at a texture other than the default: another network, which the limits were not calibrated on.
        """
        return self._bottleneck if self._calibrated else None

    def _network(self, texture: float) -> "Generator":
        """The generator whose weights lie `texture` of the way from the pixel end to the adversarial end."""
        from .gan.generator import Generator

        if self._ready is None or self._ready[0] != texture:
            pixel, adversarial = self._ends
            between = {name: value.lerp(adversarial[name], texture) for name, value in pixel.items()}
            network = Generator.shaped_like(between)
            network.down2.register_forward_hook(lambda module, inputs, output: self._keep(output))
            self._ready = texture, network.to(self._device).eval().requires_grad_(False)
        return self._ready[1]

    def _keep(self, bottleneck: "torch.Tensor") -> None:
        """(B, C, h, w) -> (B, 2 C), while the network runs: a second pass for the guard alone would cost too much."""
        import torch

        spread, mean = torch.std_mean(bottleneck.float(), dim=(2, 3))
        self._bottleneck = torch.cat([mean, spread], 1)


def _counts(series: SeriesFacts, name: str) -> Mapping[tuple[Any, ...], int]:
    """How many instances carry each distinct value of the attribute."""
    facts = series.attributes.get(name)
    return facts.values if facts else {}
