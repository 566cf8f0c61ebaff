"""What the guards are tried on: slices of the domain, and inputs that they should not let pass."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..ct_denoise import CTDenoise
from ..simulate.ct_dose import FULL_DOSE_I0, QUARTER_DOSE_I0, Dose
from ..simulate.doses import noisy_stacks
from ..simulate.parallel_beam import _response as response
from ..volume import load_volume
from .heldout import HELDOUT

HEAD = "head"
IN_DOMAIN = {
    "dose 1": Dose(FULL_DOSE_I0),
    "dose 1/2": Dose(FULL_DOSE_I0 / 2),
    "dose 1/4": Dose(QUARTER_DOSE_I0),
}
OUT_OF_DOMAIN = {
    "2.5 times the noise (dose 1/25)": Dose(QUARTER_DOSE_I0 / 6.25),
    "sharp kernel, dose 1": Dose(FULL_DOSE_I0, "ramp"),
    "sharp kernel, dose 1/4": Dose(QUARTER_DOSE_I0, "ramp"),
}
ADDED_SOFT = {
    "soft noise over the scan's own, dose 1": Dose(FULL_DOSE_I0, "soft"),
    "soft noise over the scan's own, dose 1/4": Dose(QUARTER_DOSE_I0, "soft"),
}
"""No kernel swap: the noise that the scan came with, of another kernel, stays as it is. Told, not asked for."""
OTHER_PARAMS = {
    "dose 1/4, strength 1": CTDenoise.Params(strength=1),
    "dose 1/4, texture 0": CTDenoise.Params(texture=0),
}
INSIDE = ("as scanned", *IN_DOMAIN, *OTHER_PARAMS)
NOISE_SIGMAS = (10.0, 20.0, 30.0, 60.0)
PERIODS = (1, 2, 4, 8, 16, 32)
CHECKER_HU = (50.0, 200.0)


@dataclass(frozen=True)
class Trial:
    """One slice to run: the case it belongs to, the network's input (1, 3, H, W) HU, and the parameters."""

    case: str
    stack: Tensor
    params: CTDenoise.Params = field(default_factory=CTDenoise.Params)


def heldout_trials(data: Path, slices: range) -> Iterator[Trial]:
    """The held-out patient inside and outside of the domain; slices of it without added noise count as inside."""
    volume = load_volume(HELDOUT, data, with_labels=False)
    doses = {**IN_DOMAIN, **OUT_OF_DOMAIN, **ADDED_SOFT}
    for z in slices:
        stacks = noisy_stacks(volume, z, tuple(doses.values()))
        clean = torch.from_numpy(np.ascontiguousarray(volume.hu[z - 1 : z + 2]))[None]
        quarter = stacks[IN_DOMAIN["dose 1/4"]]
        yield Trial("as scanned", clean)
        for name, dose in doses.items():
            yield Trial(name, stacks[dose])
        for name, params in OTHER_PARAMS.items():
            yield Trial(name, quarter, params)
        yield Trial("soft kernel, as scanned", softened(clean))
        for name in ("dose 1", "dose 1/4"):
            yield Trial(f"soft kernel, {name}", softened(stacks[IN_DOMAIN[name]]))
        yield Trial("CT noise without a patient", quarter - clean)
        for period in PERIODS:
            for height in CHECKER_HU:
                yield Trial("checkerboard over the input", quarter + height * checkers(period, clean.shape[-1]))


def softened(stack: Tensor) -> Tensor:
    """The slices as the soft kernel would have shown them in place of the body kernel, patient and noise alike.

    (1, 3, N, N) HU in and out, in whole HU as scanners store them.
    """
    size = stack.shape[-1]
    frequency = torch.fft.fftfreq(size)
    radius = torch.hypot(frequency[:, None], frequency[None])
    body, soft = (response(kernel, 2048, stack.device) for kernel in ("hann", "soft"))
    ratio = np.interp(radius.numpy(), np.arange(1, len(body)) / 2048, (soft / body.clamp(min=1e-9))[1:].numpy())
    seen: Tensor = torch.fft.ifft2(torch.fft.fft2(stack) * torch.from_numpy(ratio)).real
    return seen.float().round()


def synthetic_trials(size: int = 512) -> Iterator[Trial]:
    """White noise and checkerboards without any patient."""
    for seed, sigma in enumerate(NOISE_SIGMAS * 5):
        values = np.random.default_rng(seed).normal(0, sigma, (1, 3, size, size))
        yield Trial("white noise without a patient", torch.from_numpy(values.astype(np.float32)))
    for period in PERIODS:
        for height in CHECKER_HU:
            board = height * checkers(period, size)
            yield Trial("checkerboard without a patient", board.expand(1, 3, size, size).contiguous())


def head_trials(data: Path, count: int = 20) -> Iterator[Trial]:
    """Another anatomy, as scanned and at dose 1/4. Raises DataError where there is no head."""
    volume = load_volume(HEAD, data, with_labels=False)
    quarter = IN_DOMAIN["dose 1/4"]
    for z in np.linspace(5, len(volume.hu) - 6, count).round().astype(int):
        clean = torch.from_numpy(np.ascontiguousarray(volume.hu[z - 1 : z + 2]))[None]
        yield Trial("a head, as scanned", clean)
        yield Trial("a head, dose 1/4", noisy_stacks(volume, int(z), (quarter,))[quarter])


def checkers(period: int, size: int) -> Tensor:
    """+-1 in squares of `period` px, (size, size)."""
    line = stripes(period, size)
    return line * line.T


def stripes(period: int, size: int) -> Tensor:
    """+-1 in columns of `period` px, (size, size)."""
    return ((torch.arange(size) // period) % 2 * 2 - 1).float().expand(size, size)
