"""The discriminator: a PatchGAN with spectral norm, shown the noisy slice beside the candidate. Never shipped."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Says for each patch whether the candidate is a real slice or a generated one.

    It judges detail: both images less the noisy slice's local mean, in multiples of `unit` (the intensity that counts
    as a difference) and softly clipped. So noise texture weighs the same in lung and liver, and the mean is none of
    its business. A patch is 18 px wide with two `layers`, 38 px with three.
    """

    def __init__(self, unit: float, layers: int = 2, width: int = 32) -> None:
        super().__init__()
        self.unit = unit
        widths = (2, *(width * 2**layer for layer in range(layers)))
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1))
            for before, after in itertools.pairwise(widths)
        )
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, noisy: Tensor, candidate: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Two (B, H, W) images -> patch scores (B, 1, h, w), above 0 for real, and the features of each layer."""
        both = torch.stack([noisy, candidate], 1).float()
        mean = functional.avg_pool2d(both[:, :1], 9, stride=1, padding=4, count_include_pad=False)
        seen = 4 * torch.tanh((both - mean) / (4 * self.unit))
        image = seen.contiguous(memory_format=torch.channels_last)
        features = []
        for layer in self.layers:
            image = functional.leaky_relu(layer(image), 0.2)
            features.append(image)
        return self.verdict(image), features
