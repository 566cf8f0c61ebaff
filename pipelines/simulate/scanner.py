"""Test noise that owes nothing to the training simulator: a slice scanned by gecatsim (GE's CatSim, BSD-3-Clause).

What differs from `ct_dose.py`, of which not a line is used: a third-generation fan beam (540 mm to the axis, 950 mm to
a curved detector of 900 cells of 1 mm), a 120 kVp tungsten spectrum in 20 energies behind 3 mm of aluminium and a body
bowtie, water and cortical bone, a scintillator that integrates energy, quantum noise drawn in each energy, electronic
noise in the reading, gecatsim's own low-signal and beam-hardening corrections, its own filtered back-projection.

The slice becomes density maps, is projected once and read twice, without noise and with it; the difference of the
corrected line integrals is reconstructed, so that the noise can be added to the untouched slice. gecatsim prints, and
works in the current directory, so it runs in a process and a directory of its own; it is needed for evaluation only.
De Man et al., "CatSim: a new computer assisted tomography simulation environment", Proc SPIE 6510 (2007); Wu et al.,
"XCIST", Phys Med Biol 67 (2022).

In the middle of 300 mm of water, and 135 mm from it, the quarter dose gives 46 and 37 HU with either kernel where the
training simulator gives 56 and 34: the bowtie evens the noise out. Its mean frequency is 0.23 to 0.25 cycles/px (soft)
and 0.28 to 0.30 (standard) against 0.22, at pixels of 0.63 mm.

Limits: a slice that does not change along the axis, a point for a focal spot, no scatter, no crosstalk, no tube current
modulation.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..data import DataError

Image = NDArray[np.float32]
Kernel = Literal["soft", "standard", "bone"]
QUARTER_DOSE_MA: Mapping[Kernel, float] = {"soft": 12.0, "standard": 29.0}
"""mA, at one rotation of 1 s, with which the held-out chest shows about as much noise as at the training simulator's
quarter dose: 30 HU RMSE in the body. A kernel that lets more noise through gets more photons."""
BONE_FROM_HU = 150.0
"""Above this a voxel is water and cortical bone, below it is water at another density (or contrast, lung, air)."""
CORTICAL_BONE_HU = 1510.0
"""What gecatsim's cortical bone of 1.92 g/ml measures in this beam behind its water correction: inserts of 300 to 1500
HU come out within 6 %, soft tissue within 5 HU."""


@dataclass(frozen=True)
class Scan:
    """How a slice is scanned and reconstructed; `standard` and `soft` are gecatsim's kernels of those names."""

    ma: float = QUARTER_DOSE_MA["soft"]
    kernel: Kernel = "soft"
    views: int = 720
    energies: int = 20
    spectrum: str = "tungsten_tar7.0_120_filt.dat"
    bowtie: str = "large.txt"
    slice_mm: float = 5.0


def noise(hu: Image, pixel_mm: float, scan: Scan, seed: int) -> Image:
    """The noise of one scan of a slice. (N, N) HU -> (N, N) HU.

    Deterministic for a seed, a machine and gecatsim's version. About 17 s for 512 squared on one core. Raises DataError
    without gecatsim or where it fails, ValueError if the slice is not square.
    """
    return _run(hu, pixel_mm, scan, seed, image=False)["noise"]


def image_and_noise(hu: Image, pixel_mm: float, scan: Scan, seed: int) -> tuple[Image, Image]:
    """The slice as this scanner shows it without noise, and the noise: their sum is the scan. See `noise`."""
    found = _run(hu, pixel_mm, scan, seed, image=True)
    return found["image"], found["noise"]


def _run(hu: Image, pixel_mm: float, scan: Scan, seed: int, image: bool) -> dict[str, Image]:
    if hu.ndim != 2 or hu.shape[0] != hu.shape[1]:
        raise ValueError(f"the scanner takes one square slice, not shape {hu.shape}")
    if importlib.util.find_spec("gecatsim") is None:
        raise DataError("gecatsim is not installed; run: pip install 'dicomnode[evaluate]'")
    water, bone = densities(hu)
    job = {
        **asdict(scan),
        "seed": seed,
        "size": len(hu),
        "pixel_mm": pixel_mm,
        "image": image,
        "materials": {"water": "water", "bone": "ICRU_skeleton_cortical_bone_adult"},
    }
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        water.tofile(directory / "water.raw")
        bone.tofile(directory / "bone.raw")
        (directory / "job.json").write_text(json.dumps(job), encoding="utf-8")
        _child(directory)
        return {path.stem: np.load(path) for path in directory.glob("*.npy")}


def densities(hu: Image) -> tuple[Image, Image]:
    """Water and cortical bone in each pixel, as a share of their own density. (H, W) HU -> two of (H, W)."""
    mineral = ((hu - BONE_FROM_HU) / (CORTICAL_BONE_HU - BONE_FROM_HU)).clip(0.0, None)
    water = (1 + np.minimum(hu, BONE_FROM_HU) / 1000).clip(0.0, None) * (1 - mineral).clip(0.0, None)
    return water.astype(np.float32), mineral.astype(np.float32)


def _child(directory: Path) -> None:
    """Run `catsim_scan.py` in `directory`, on one core and silently."""
    environment: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    program = Path(__file__).with_name("catsim_scan.py")
    done = subprocess.run(
        [sys.executable, str(program)], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise DataError(f"gecatsim could not scan the slice ({last}); evaluate without it, or reinstall gecatsim.")
