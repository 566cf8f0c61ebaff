"""Calibrate the guards of ct-denoise: `python -m pipelines.gan.calibrate`.

Slices of the training patients, as scanned and at four doses from the full one to that which gives them the noise of
the evaluation's quarter dose, go through the network at its default parameters and through the guards, with limits
that nothing reaches. What the guards measure there, with a margin, becomes the file `.limits.toml` beside the weights,
which the pipeline reads. To be repeated whenever the weights change; under a new name they need a copy of the old
limits first, since the pipeline reads them when it is imported. Takes some minutes of one core.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.enhance.api import FeatureReference, GuardLimits

from ..ct_denoise import CTDenoise
from ..data import DataError
from ..evaluate.heldout import TUNING_I0
from ..evaluate.methods import WEIGHTS, Network
from ..simulate.bank import TRAINING_VOLUMES
from ..simulate.ct_dose import FULL_DOSE_I0, Dose
from ..simulate.doses import noisy_stacks
from ..volume import load_volume

DOSES = tuple(Dose(i0) for i0 in (FULL_DOSE_I0, FULL_DOSE_I0 / 4, 2 * TUNING_I0, TUNING_I0))
BODY_ABOVE_HU = -400.0
SLICES = 10
"""Of each training patient."""
COMPONENTS = 12
"""Principal components of the features; the distance is measured along these."""
NEVER = 1000.0
"""A limit that nothing reaches. What is unlike two patients is flagged, on the screen and in the images; two patients
are too few to withhold a series for being unlike them. Too much noise, and what the network does, may withhold."""
BODY_SHARE = (-NEVER, 0.1, 0.8, NEVER)
"""Set, not calibrated: an axial slice shows a patient, and air around the patient."""
BASE = GuardLimits(
    residual_sigmas=3.0, low_frequency_sigma=16.0, low_frequency_bias=(5.0, 20.0), body_above=BODY_ABOVE_HU
)
_OPEN = (-math.inf, -math.inf, math.inf, math.inf)
OPEN = replace(
    BASE,
    noise_sigma=_OPEN,
    typical_noise=_OPEN,
    noise_frequency=_OPEN,
    noise_tail=_OPEN,
    change=_OPEN,
    blob_score=_OPEN[2:],
    wide_blob_score=_OPEN[2:],
    edge_correlation=_OPEN[2:],
    pattern=_OPEN[2:],
)
"""Every guard that is calibrated, measuring only."""


@dataclass(frozen=True)
class Measured:
    """What the guards measured on the calibration slices: one number for each slice by guard, and the features (N, F).

    A number is NaN where the guard found nothing to measure it on.
    """

    numbers: Mapping[str, NDArray[np.float64]]
    features: NDArray[np.float64]

    def span(self, guard: str) -> tuple[float, float]:
        """The smallest and the largest number of a guard."""
        return float(np.nanmin(self.numbers[guard])), float(np.nanmax(self.numbers[guard]))


def measure(pipeline: CTDenoise, stacks: Iterable[torch.Tensor]) -> Measured:
    """Run calibration slices, (1, 3, H, W) HU each, through network and guards."""
    rows = [_measured(pipeline, stack) for stack in stacks]
    names = rows[0][0]
    numbers = {name: np.array([found[name] for found, _ in rows]) for name in names}
    return Measured(numbers, np.stack([features for _, features in rows]))


@torch.inference_mode()
def _measured(pipeline: CTDenoise, stack: torch.Tensor) -> tuple[dict[str, float], NDArray[np.float64]]:
    from dicomnode.enhance.guards.chain import apply_guards, guards_of

    params = CTDenoise.Params()
    output = pipeline.enhance(stack, params)
    features = pipeline.features(stack)
    assert features is not None
    _, (figures,) = apply_guards(guards_of(OPEN, strength=params.strength), stack[:, 1].contiguous(), output)
    numbers = {figure.guard: math.nan if figure.value is None else figure.value for figure in figures}
    return numbers, features[0].double().numpy()


def training_stacks(data: Path) -> Iterator[torch.Tensor]:
    """The calibration slices of the training patients. Raises DataError."""
    for name in TRAINING_VOLUMES:
        volume = load_volume(name, data, with_labels=False)
        for z in np.linspace(3, len(volume.hu) - 4, SLICES).round().astype(int):
            yield torch.from_numpy(np.ascontiguousarray(volume.hu[z - 1 : z + 2]))[None]
            yield from noisy_stacks(volume, int(z), DOSES).values()


def limits_of(found: Measured) -> GuardLimits:
    """Limits with a margin around what was measured; flags begin close to it, withholding further out, if at all.

    The margin of the wide blobs is larger: there the training patients differ by a third, elsewhere by a sixth. A
    pattern is withheld at ten times (20 dB) the amplitude at which it is flagged: some HU, as against one or two.
    """
    low, high = found.span("input noise")
    quiet, loud = found.span("typical noise")
    slow, fast = found.span("input grain")
    soft, sharp = found.span("input kernel")
    least, most = found.span("change")
    blob, wide, edge, peak = (found.span(name)[1] for name in ("blobs", "wide blobs", "edges", "pattern"))
    return replace(
        BASE,
        noise_sigma=_rounded(-NEVER, low / 2, high * 1.05, high * 1.25),
        typical_noise=_rounded(-NEVER, quiet / 2, loud * 1.05, loud * 1.25),
        noise_frequency=_rounded(-NEVER, slow - 0.03, fast + 0.03, NEVER),
        noise_tail=_rounded(-NEVER, soft / 2, sharp * 1.5, NEVER),
        body_share=BODY_SHARE,
        change=_rounded(-NEVER, least / 2, most * 1.2, most * 1.5),
        blob_score=_rounded(blob * 1.15, blob * 1.5),
        wide_blob_score=_rounded(wide * 1.3, wide * 1.7),
        edge_correlation=_rounded(edge + 0.15, edge + 0.35),
        pattern=_rounded(peak + 5, peak + 25),
        features=reference(found.features),
    )


def reference(features: NDArray[np.float64]) -> FeatureReference:
    """The first principal components of standardised features, each scaled to variance 1 over the calibration.

    The limit is a multiple of the distance that 95 % of the calibration lie within: another patient is always further.
    """
    mean, spread = features.mean(0), features.std(0) + 1e-6
    _, singular, axes = np.linalg.svd((features - mean) / spread, full_matrices=False)
    scale = singular[:COMPONENTS, None] / np.sqrt(len(features))
    projection = axes[:COMPONENTS] / scale / spread
    usual = float(np.percentile(np.sqrt((((features - mean) @ projection.T) ** 2).mean(1)), 95))
    return FeatureReference(
        mean=_rounded(*mean),
        projection=tuple(_rounded(*row) for row in projection),
        limits=(round(1.5 * usual, 2), NEVER),
    )


def _rounded(*values: float) -> Any:
    """Four figures are enough, and keep the file readable."""
    return tuple(float(f"{value:.4g}") for value in values)


def limits_text(limits: GuardLimits, weights_sha256: str) -> str:
    """The limits file; it names the weights, since the features are theirs."""
    document = {name: value for name, value in asdict(limits).items() if value is not None}
    features = document.pop("features")
    lines = [
        "# Guard limits of ct-denoise, written by `python -m pipelines.gan.calibrate`; not to be edited.",
        f"# Calibrated with the weights of sha256 {weights_sha256}.",
    ]
    lines += [f"{name} = {json.dumps(value)}" for name, value in document.items()]
    lines += ["", "[features]", f"mean = {json.dumps(features['mean'])}", f"limits = {json.dumps(features['limits'])}"]
    rows = ",\n".join(f"    {json.dumps(row)}" for row in features["projection"])
    return "\n".join([*lines, f"projection = [\n{rows},\n]", ""])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.gan.calibrate", description="Calibrate the guards.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        found = measure(Network(arguments.weights).pipeline, training_stacks(arguments.data))
    except (DataError, FileNotFoundError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 2
    sha256 = hashlib.sha256(arguments.weights.read_bytes()).hexdigest()
    path = arguments.weights.with_suffix(".limits.toml")
    path.write_text(limits_text(limits_of(found), sha256), encoding="utf-8")
    print(f"wrote {path} from {len(found.features)} slices")
    return 0


if __name__ == "__main__":
    sys.exit(main())
