"""The generator: a residual U-Net of plain 3 x 3 convolutions (about 0.27 M parameters at width 16)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

HU_SCALE = 400.0
"""Input HU are divided by this; the residual comes out in a quarter of it."""
_SEEN_HU = (-1200.0, 2000.0)
_MULTIPLE = 4


class Generator(nn.Module):
    """Three neighbouring slices in, the centre one without its noise out.

    The last convolution begins at zero, so an untrained generator returns its input. The residual is added in float32
    whatever the autocast precision, and to the unclipped slice, so metal keeps its HU.
    """

    def __init__(self, width: int = 16, slices: int = 3, residuals: int = 2) -> None:
        super().__init__()
        self.slices = slices
        self.enter = _block(slices, width)
        self.down1 = _block(width, 2 * width, stride=2)
        self.down2 = nn.Sequential(
            *_block(2 * width, 4 * width, stride=2), *(_Residual(4 * width) for _ in range(residuals))
        )
        self.up1 = _block(6 * width, 2 * width)
        self.up0 = _block(3 * width, width)
        self.leave = nn.Conv2d(width, 1, 3, padding=1, bias=False)
        nn.init.zeros_(self.leave.weight)

    @classmethod
    def shaped_like(cls, weights: Mapping[str, Tensor]) -> "Generator":
        """A generator that these weights fit, with the weights in it. Raises RuntimeError if none would."""
        width, slices = weights["enter.0.weight"].shape[:2]
        network = cls(width, slices, residuals=sum(name.endswith(".first.weight") for name in weights))
        network.load_state_dict(dict(weights))
        return network

    def forward(self, hu: Tensor) -> Tensor:
        """(B, slices, H, W) HU, any H and W -> (B, H, W) HU float32."""
        height, width = hu.shape[-2:]
        seen = hu.clamp(*_SEEN_HU) / HU_SCALE
        seen = _pad(seen, -height % _MULTIPLE, -width % _MULTIPLE)
        level0 = self.enter(seen.contiguous(memory_format=torch.channels_last))
        level1 = self.down1(level0)
        level2 = self.down2(level1)
        level1 = self.up1(torch.cat([level1, _twice(level2)], 1))
        level0 = self.up0(torch.cat([level0, _twice(level1)], 1))
        residual: Tensor = self.leave(level0)[:, 0, :height, :width].float() * (HU_SCALE / 4)
        return hu[:, self.slices // 2].float() + residual


class _Residual(nn.Module):
    """Two convolutions beside a way around them: a wide view for little work, at a quarter of the resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        changed: Tensor = self.second(functional.leaky_relu(self.first(image), 0.1))
        return image + changed


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
    )


def _twice(image: Tensor) -> Tensor:
    return functional.interpolate(image, scale_factor=2.0, mode="nearest")


def _pad(image: Tensor, rows: int, columns: int) -> Tensor:
    """Fill up below and to the right by reflection, or by repetition where the image is too small to reflect."""
    mode = "reflect" if rows < image.shape[-2] and columns < image.shape[-1] else "replicate"
    return functional.pad(image, (0, columns, 0, rows), mode=mode)
