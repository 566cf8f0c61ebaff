"""What the guards are tried on: slices of the domain, and inputs and outputs that they should not let pass.

Every case is an iterator of (stack, edit): the stack (1, 3, H, W) HU that the network sees, and what is done to its
output before the guards look at it, as a network that fails would have done.
"""

import io
import plistlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..simulate.ct_dose import FULL_DOSE_I0, QUARTER_DOSE_I0, Dose
from ..simulate.doses import noisy_stacks
from ..volume import Volume, load_volume
from .heldout import HELDOUT

Edit = Callable[[Tensor], Tensor]
IN_DOMAIN = {
    "dose 1": Dose(FULL_DOSE_I0),
    "dose 1/2": Dose(FULL_DOSE_I0 / 2),
    "dose 1/4": Dose(QUARTER_DOSE_I0),
}
OUT_OF_DOMAIN = {
    "2.5 times the noise (dose 1/25)": Dose(QUARTER_DOSE_I0 / 6.25),
    "sharp kernel, dose 1": Dose(FULL_DOSE_I0, "ramp"),
    "sharp kernel, dose 1/4": Dose(QUARTER_DOSE_I0, "ramp"),
    "soft kernel, dose 1": Dose(FULL_DOSE_I0, "soft"),
    "soft kernel, dose 1/4": Dose(QUARTER_DOSE_I0, "soft"),
}
NOISE_SIGMAS = (10.0, 20.0, 30.0, 60.0)
PERIODS = (1, 2, 4, 8, 16, 32)
CHECKER_HU = (50.0, 200.0)
ARTEFACT_HU = (10.0, 20.0, 40.0)


@dataclass(frozen=True)
class Trial:
    """One slice to run: the case it belongs to, the network's input, and the edit of its output."""

    case: str
    stack: Tensor
    edit: Edit | None = None


def heldout_trials(data: Path, slices: range) -> Iterator[Trial]:
    """The held-out patient inside and outside of the domain; slices of it without added noise count as inside."""
    volume = load_volume(HELDOUT, data, with_labels=False)
    doses = {**IN_DOMAIN, **OUT_OF_DOMAIN}
    for z in slices:
        stacks = noisy_stacks(volume, z, tuple(doses.values()))
        clean = torch.from_numpy(np.ascontiguousarray(volume.hu[z - 1 : z + 2]))[None]
        yield Trial("as scanned", clean)
        for name, dose in doses.items():
            yield Trial(name, stacks[dose])
        quarter = stacks[IN_DOMAIN["dose 1/4"]]
        yield Trial("CT noise without a patient", quarter - clean)
        for period in PERIODS:
            for height in CHECKER_HU:
                yield Trial("checkerboard over the input", quarter + height * _checkers(period, clean.shape[-1]))
        for height in ARTEFACT_HU:
            yield Trial(f"checkerboard of {height:g} HU put out by the network", quarter, _adds(height))


def synthetic_trials(size: int = 512) -> Iterator[Trial]:
    """White noise and checkerboards without any patient."""
    for seed, sigma in enumerate(NOISE_SIGMAS * 3):
        values = np.random.default_rng(seed).normal(0, sigma, (1, 3, size, size))
        yield Trial("white noise without a patient", torch.from_numpy(values.astype(np.float32)))
    for period in PERIODS:
        for height in CHECKER_HU:
            board = height * _checkers(period, size)
            yield Trial("checkerboard without a patient", board.expand(1, 3, size, size).contiguous())


def head_trials(path: Path, count: int = 20) -> Iterator[Trial]:
    """Another anatomy, as scanned and at dose 1/4: `Cranium.inv3` of Debian's invesalius-examples."""
    volume = _head(path)
    quarter = IN_DOMAIN["dose 1/4"]
    for z in np.linspace(5, len(volume.hu) - 6, count).round().astype(int):
        clean = torch.from_numpy(np.ascontiguousarray(volume.hu[z - 1 : z + 2]))[None]
        yield Trial("a head, as scanned", clean)
        yield Trial("a head, dose 1/4", noisy_stacks(volume, int(z), (quarter,))[quarter])


def _head(path: Path) -> Volume:
    """An InVesalius project: a tar.gz with a property list and the matrix of int16."""
    with tarfile.open(path) as project:
        members = {Path(member.name).name: member for member in project.getmembers() if member.isfile()}
        read = {name: project.extractfile(members[name]) for name in ("main.plist", "matrix.dat")}
        files = {name: file.read() for name, file in read.items() if file is not None}
    facts = plistlib.load(io.BytesIO(files["main.plist"]))
    hu = np.frombuffer(files["matrix.dat"], np.int16).reshape(facts["matrix"]["shape"])
    x, y, z = facts["spacing"]
    return Volume("head", np.maximum(hu, -1000).astype(np.float32), (z, y, x), (0.0, 0.0, 0.0))


def _checkers(period: int, size: int) -> Tensor:
    """+-1 in squares of `period` px, (size, size)."""
    row, column = torch.meshgrid(torch.arange(size) // period, torch.arange(size) // period, indexing="ij")
    return ((row + column) % 2 * 2 - 1).float()


def _adds(height: float) -> Edit:
    """The pattern that a network with bad upsampling leaves: squares of two pixels."""
    return lambda output: output + height * _checkers(2, output.shape[-1])
