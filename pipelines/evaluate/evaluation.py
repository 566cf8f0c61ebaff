"""The whole evaluation: tune and choose on the training patients, then measure on the held-out one."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..ct_denoise import CTDenoise
from ..data import DataError
from ..simulate.ct_dose import QUARTER_DOSE_I0
from .bench import Bench, Finding, at_noise, at_strength, end_of, ends_with
from .bias import measure_bias
from .blobs import measure_blobs
from .classical import Tuned, tune
from .figures import psnr
from .grain import measure_grain
from .harm import measure_harm
from .head import head_slices
from .heldout import Slice, heldout, tuning
from .methods import Method, Network, filtered
from .noise_only import measure_noise_only
from .outputs import Outputs, matched_strength, run
from .patients import measure_patients
from .phantom import PhantomFound, measure_phantom
from .preserved import measure_preserved
from .ring import measure_ring
from .robustness import SLICES, Robustness, measure_robustness
from .rows import Gain, Row, gain, measure
from .scanned import scanned
from .sharpness import measure_sharpness
from .task import measure_task
from .texture import noise_texture
from .training import measure_training

STRENGTHS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
SLAB_GAIN_DB = 2.0
"""Over the best classical filter on the training patients' slices, where the strength is chosen: what is asked for on
a patient never seen."""
Kind = TypeVar("Kind")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """All that the table, the page and the card are written from."""

    bench: Bench
    tuned: list[Tuned]
    by_strength: dict[float, float]
    """PSNR of the default end on the training patients' slabs: the strength is chosen on these."""
    chosen_strength: float
    """The lowest strength that gains SLAB_GAIN_DB over the best classical filter there; 1 if none does."""
    rows: list[Row]
    matched: list[Row]
    """Every method again at the strength that leaves the noise of the best classical filter."""
    gain: Gain
    findings: dict[str, Finding]
    seconds: float
    i0: float = QUARTER_DOSE_I0

    def row(self, name: str) -> Row:
        """The row of that name, at its own strength or at matched noise."""
        return next(row for row in (*self.rows, *self.matched) if row.name == name)

    @property
    def headline(self) -> Row:
        """The row of what a series gets by default."""
        return self.row(at_strength(self.bench.headline, self.bench.strength))

    @property
    def classical(self) -> Row:
        """The row of the best classical filter."""
        return self.row(self.bench.classical.name)

    @property
    def reference(self) -> tuple[float, float]:
        """Noise (HU) and grain (cycles/px) of the reference itself in flat tissue."""
        textures = [noise_texture(one.clean, one.places) for one in self.bench.slices if one.places]
        return _mean(noise for noise, _ in textures), _mean(grain for _, grain in textures)

    def found(self, kind: type[Kind]) -> Kind | None:
        """The finding of a kind, if that part was run."""
        return next((one for one in self.findings.values() if isinstance(one, kind)), None)


@dataclass(frozen=True)
class LeftOut:
    """A part that could not be measured, and why."""

    title: str
    reason: str

    def markdown(self) -> str:
        """One sentence."""
        return f"Left out: {self.reason}"


def _bank(bench: Bench) -> Path:
    """Where simulated scans are kept, beside the data."""
    return bench.data.parent / "training"


def _robustness(bench: Bench) -> Robustness:
    """With noise from another simulator, and with another anatomy."""
    return measure_robustness(
        bench,
        {
            "gecatsim's scanner": lambda: scanned(bench.data, _bank(bench), chosen=SLICES),
            "a head": lambda: head_slices(bench.data),
        },
    )


def _phantom(bench: Bench) -> Finding:
    """Left out where gecatsim is not there."""
    try:
        return measure_phantom(bench, _bank(bench))
    except DataError as error:
        return LeftOut(PhantomFound.title, str(error))


PARTS: Mapping[str, Callable[[Bench], Finding]] = {
    "training": measure_training,
    "task": measure_task,
    "sharpness": measure_sharpness,
    "texture": measure_grain,
    "bias": measure_bias,
    "noise": measure_noise_only,
    "agreement": measure_ring,
    "spots": measure_blobs,
    "harm": measure_harm,
    "preserved": measure_preserved,
    "robustness": _robustness,
    "phantom": _phantom,
    "patients": measure_patients,
}
"""What is measured beside the table, in the order of the page."""
TABLE_STEPS = 3


def evaluate(data: Path, weights: Path, threads: int, parts: Iterable[str], report: Report) -> Evaluation:
    """Tune, choose, then measure on the held-out patient. `report` hears of every step begun. Raises DataError."""
    began = time.monotonic()
    network, defaults = Network(weights), CTDenoise.Params()
    strength, texture = float(defaults.strength), float(defaults.texture)
    report("tuning the classical filters")
    slab = tuning(data)
    tuned = tune([(one.noisy[1], one.clean) for one in slab], threads)
    by_strength = slab_psnr(network.at(1.0, texture), slab)
    report("running every method")
    slices = heldout(data)
    outputs = {one.name: run(one.name, filtered(one), slices, threads) for one in tuned}
    best = max(tuned, key=lambda one: measure(one.name, outputs[one.name], 1.0).mean("psnr"))
    for name, value in ends_with(texture).items():
        outputs[name] = run(name, network.at(1.0, value), slices, threads)
    noise = outputs[best.name].noise(1.0)
    matched = {name: matched_strength(own, noise) for name, own in outputs.items() if name != best.name}
    reached = {best.name: 1.0} | {name: own for name, own in matched.items() if own is not None}
    bench = Bench(data, weights, network, best, slices, outputs, strength, texture, reached, threads)
    report("the table")
    rows = _rows(bench)
    headline = next(row for row in rows if row.name == at_strength(end_of(texture), strength))
    classical = next(row for row in rows if row.name == best.name)
    findings = {}
    for name in parts:
        report(name)
        findings[name] = PARTS[name](bench)
    return Evaluation(
        bench=bench,
        tuned=tuned,
        by_strength=by_strength,
        chosen_strength=choose(by_strength, max(one.psnr for one in tuned)),
        rows=rows,
        matched=[measure(at_noise(name), outputs[name], own) for name, own in reached.items()],
        gain=gain(headline, classical),
        findings=findings,
        seconds=time.monotonic() - began,
    )


def _rows(bench: Bench) -> list[Row]:
    """The input, each classical filter, and the ends at the default strength, with guards, and at strength 1."""
    ends, best = ends_with(bench.texture), bench.classical.name
    filters = [name for name in bench.outputs if name not in ends]
    rows = [measure("input", bench.outputs[best], 0.0)]
    rows += [measure(name, bench.outputs[name], 1.0) for name in filters]
    for strength in dict.fromkeys((bench.strength, 1.0)):
        rows += [measure(at_strength(name, strength), bench.outputs[name], strength) for name in ends]
    guarded = run("guarded", bench.network.guarded, bench.slices, threads=1)
    rows.append(measure(f"{at_strength(bench.headline, bench.strength)}, guarded", guarded, 1.0))
    return rows


def slab_psnr(method: Method, slab: list[Slice]) -> dict[float, float]:
    """Mean PSNR in dB on the training patients' slices by strength of the blend."""
    outputs = Outputs("slab", slab, [method(one.noisy) for one in slab], [])
    return {
        strength: _mean(psnr(outputs.image(row, strength), one.clean) for row, one in enumerate(slab))
        for strength in STRENGTHS
    }


def choose(by_strength: dict[float, float], classical: float) -> float:
    """As little of the network as gives the wanted gain: small faint structures fade with strength."""
    enough = [value for value, psnr in by_strength.items() if psnr >= classical + SLAB_GAIN_DB]
    return min(enough, default=1.0)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
