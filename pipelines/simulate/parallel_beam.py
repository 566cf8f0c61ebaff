"""A parallel-beam CT geometry in torch: a matched pair of projector and filtered back-projector.

Both directions share one table: where on an oversampled detector the centre of each pixel falls at each view. The
projector adds pixels up there, the back-projector reads the filtered views there. The filter is applied in the
frequency domain, where reading the detector eight times finer costs only zero padding, and no interpolation blurs the
noise.
"""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["ramp", "hann", "soft"]

_OVERSAMPLING = 8


class ParallelBeam:
    """Square slices of `size` pixels of `pixel_mm`, seen from `views` angles over half a turn.

    The detector has one bin per pixel width and is wide enough for the corners, so its data are never truncated.
    """

    def __init__(self, size: int, pixel_mm: float, views: int = 720, device: torch.device | str = "cpu") -> None:
        self.size, self.pixel_mm, self.views = size, pixel_mm, views
        self.bins = 2 * math.ceil(size * math.sqrt(0.5)) + 2
        self.device = torch.device(device)

    def project(self, attenuation: Tensor) -> Tensor:
        """Line integrals of an attenuation map. (size, size) in 1/mm -> (views, bins), without a unit.

        A pixel's content is added to the nearest of eight sub-bins, then spread with a quadratic B-spline: as smooth
        as a detector element and focal spot, and wide enough that rows of pixels seen at 45 degrees leave no ripple.
        """
        fine = torch.zeros(self.views, self.bins * _OVERSAMPLING, device=self.device)
        flat = attenuation.reshape(-1)
        for view, index in enumerate(self._indices()):
            fine[view].index_add_(0, index, flat)
        spline = _quadratic_spline(self.device)
        strips = torch.nn.functional.conv1d(fine[:, None], spline, stride=_OVERSAMPLING, padding=spline.shape[-1] // 2)
        return strips[:, 0] * self.pixel_mm

    def reconstruct(self, sinogram: Tensor, kernel: Kernel) -> Tensor:
        """Filtered back-projection of line integrals. (R, views, bins) -> (R, size, size) in 1/mm."""
        padded = 2 ** math.ceil(math.log2(2 * self.bins))
        spectrum = torch.fft.rfft(sinogram, padded) * _response(kernel, padded, self.device)
        image = torch.zeros(len(sinogram), self.size**2, device=self.device)
        for view, index in enumerate(self._indices()):
            fine = torch.fft.irfft(spectrum[:, view], padded * _OVERSAMPLING) * _OVERSAMPLING
            for row, values in zip(image, fine, strict=True):
                row += values.index_select(0, index)
        scale = math.pi / (self.views * self.pixel_mm)
        return (image * scale).reshape(-1, self.size, self.size)

    def _indices(self) -> Iterator[Tensor]:
        """For each view the sub-bin of every pixel centre, (size * size,) int64; bin 0 begins at sub-bin 0."""
        axis = (torch.arange(self.size, device=self.device) - (self.size - 1) / 2) * _OVERSAMPLING
        centre = (self.bins - 1) / 2 * _OVERSAMPLING + 0.5
        for view in range(self.views):
            angle = math.pi * view / self.views
            position = axis * math.cos(angle) + centre + (axis * math.sin(angle))[:, None]
            yield position.to(torch.int64).reshape(-1)


def _quadratic_spline(device: torch.device) -> Tensor:
    """A box of one bin convolved twice with itself, sampled at sub-bins; sums to the sub-bins of one bin."""
    box = torch.ones(1, 1, _OVERSAMPLING + 1, device=device) / _OVERSAMPLING
    box[..., 0] = box[..., -1] = 0.5 / _OVERSAMPLING
    spline = box
    for _ in range(2):
        spline = torch.nn.functional.conv1d(spline, box, padding=_OVERSAMPLING)
    return spline * _OVERSAMPLING


def _response(kernel: Kernel, padded: int, device: torch.device) -> Tensor:
    """The filter over frequency (cycles/bin, 0 to 0.5): |f|, times a Hann window that ends at a cut-off."""
    frequency = torch.arange(padded // 2 + 1, device=device) / padded
    if kernel == "ramp":
        return frequency
    cutoff = {"hann": 0.5, "soft": 0.35}[kernel]
    window = 0.5 + 0.5 * torch.cos(math.pi * (frequency / cutoff).clamp(max=1.0))
    return frequency * window
