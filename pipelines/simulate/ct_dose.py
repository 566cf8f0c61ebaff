"""Low-dose CT by simulation: the noise of fewer photons, added to a slice that is otherwise untouched.

A slice becomes attenuation (0.0192/mm for water at about 70 keV), is projected, and each ray counts
Poisson(I0 exp(-p)) photons plus electronic noise. Only the noise of the line integrals, q - p, is reconstructed with a
clinical kernel and added to the slice, so that slice and low-dose slice stay aligned to the last pixel and differ in
nothing but noise (the projection-domain insertion of Yu et al., J Comput Assist Tomogr 2012).

The dose. I0 counts photons per detector bin (one pixel wide) in each of 720 views. `FULL_DOSE_I0` is set so that a
quarter of it adds 30 to 35 HU (standard deviation) to the soft tissue of an adult chest with the body kernel ("hann"),
as thin slices at a quarter of a routine dose have. It was set on the chest of the evaluation and the demonstration;
the two patients of the training are slimmer and show about 20 HU at the same I0. In the middle of a 300 mm cylinder of
water it is 48 HU. Clinical slices carry noise of their own, which the simulation leaves where it is: "quarter dose"
names the photons that the added noise stands for.

Limits: parallel beam, one energy, no scatter, no bowtie filter, no tube current modulation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .parallel_beam import Kernel, ParallelBeam

WATER_MU_PER_MM = 0.0192
FULL_DOSE_I0 = 3.2e5
QUARTER_DOSE_I0 = FULL_DOSE_I0 / 4
"""The one low dose of the demonstration, the evaluation and the model card."""
ELECTRONIC_SIGMA = 5.0
"""Standard deviation of the electronic noise in photons per reading."""


@dataclass(frozen=True)
class Dose:
    """Photons per ray and the reconstruction kernel they are looked at with."""

    i0: float = QUARTER_DOSE_I0
    kernel: Kernel = "hann"
    electronic_sigma: float = ELECTRONIC_SIGMA


def noise(hu: Tensor, pixel_mm: float, doses: tuple[Dose, ...], seed: int, views: int = 720) -> Tensor:
    """Independent noise images of one slice at several doses. (N, N) HU -> (len(doses), N, N) HU.

    Deterministic for a seed, a device and a torch version. Raises ValueError if the slice is not square.
    """
    if hu.ndim != 2 or hu.shape[0] != hu.shape[1]:
        raise ValueError(f"the dose simulation takes one square slice, not shape {tuple(hu.shape)}")
    beam = ParallelBeam(hu.shape[0], pixel_mm, views, hu.device)
    path = beam.project((WATER_MU_PER_MM * (1 + hu / 1000)).clamp(min=0.0))
    generator = torch.Generator(hu.device).manual_seed(seed)
    image = torch.empty(len(doses), *hu.shape, device=hu.device)
    for kernel in sorted({dose.kernel for dose in doses}):
        rows = [row for row, dose in enumerate(doses) if dose.kernel == kernel]
        readings = torch.stack([_measured(path, doses[row], generator) - path for row in rows])
        image[rows] = beam.reconstruct(readings, kernel)
    return image * (1000 / WATER_MU_PER_MM)


def low_dose(hu: Tensor, pixel_mm: float, dose: Dose, seed: int) -> Tensor:
    """One slice as it would look at a lower dose. (N, N) HU -> (N, N) HU; see `noise`."""
    return hu + noise(hu, pixel_mm, (dose,), seed)[0]


def _measured(path: Tensor, dose: Dose, generator: torch.Generator) -> Tensor:
    """Line integrals as a detector would report them; a reading below one photon counts as one."""
    counts = torch.poisson(dose.i0 * torch.exp(-path), generator=generator)
    counts += dose.electronic_sigma * torch.randn(path.shape, generator=generator, device=path.device)
    return -torch.log(counts.clamp(min=1.0) / dose.i0)
