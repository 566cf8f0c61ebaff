"""What was asked for, what was measured, and whether it is reached; where it is not, why, in figures."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .bench import at_noise, at_strength
from .bias import Bias
from .contrast import DISCS, Kind
from .evaluation import Evaluation
from .grain import Grain
from .harm import Harm
from .markdown import table
from .noise_only import NoiseOnly
from .preserved import Preserved
from .ring import Ring
from .robustness import Robustness
from .sharpness import CONTRASTS, Sharpness
from .task import FULL_DOSE, Task
from .training import BAND, Training

WANTED_GAIN_DB = 2.0
"""Over the best classical filter, on the held-out patient, at the default strength."""


@dataclass(frozen=True)
class Measured:
    """`value` is held against the gate's limit; `text` says it in words with what it is compared to."""

    value: float
    text: str
    why: str = ""
    """Said where the gate is not reached."""


@dataclass(frozen=True)
class Gate:
    """One figure that is asked for: at least, or at most, `limit`. `measure` gives None where its part was not run."""

    name: str
    asked: str
    limit: float
    measure: Callable[[Evaluation], Measured | None]
    at_least: bool = True


@dataclass(frozen=True)
class Result:
    """A gate that was measured."""

    name: str
    asked: str
    measured: str
    reached: bool
    why: str


def results(found: Evaluation) -> list[Result]:
    """Every gate whose part of the evaluation was run."""
    rows = []
    for gate in GATES:
        own = gate.measure(found)
        if own is not None:
            reached = own.value >= gate.limit if gate.at_least else own.value <= gate.limit
            rows.append(Result(gate.name, gate.asked, own.text, reached, "" if reached else own.why))
    return rows


def markdown(rows: list[Result]) -> str:
    """The table of gates, and below it why what is not reached is not."""
    cells = [[row.name, row.asked, row.measured, "yes" if row.reached else "**no**"] for row in rows]
    reasons = [f"- {row.name}: {row.why}" for row in rows if row.why]
    return "\n\n".join(filter(None, [table(["figure", "asked for", "measured", "reached"], cells), "\n".join(reasons)]))


_UNMATCHED = Measured(
    -math.inf,
    "not measured",
    "even full strength leaves more noise in flat tissue than the best classical filter.",
)


def _labels(found: Evaluation) -> tuple[str, str]:
    """The rows of the network by default, and at matched noise."""
    return at_strength(found.bench.headline, found.bench.strength), at_noise(found.bench.headline)


def _gain(found: Evaluation) -> Measured:
    full = found.row(at_strength(found.bench.headline, 1.0)).mean("psnr") - found.classical.mean("psnr")
    noise, _ = found.reference
    return Measured(
        found.gain.mean,
        f"{found.gain.mean:+.2f} dB (95 % {found.gain.low:+.2f} to {found.gain.high:+.2f} over slices)",
        f"at strength 1 it is {full:+.2f} dB; the reference carries {noise:.1f} HU of noise of its own, which caps "
        f"every strong method; slice by slice the gain goes from {_spread(found)[0]:+.2f} to {_spread(found)[1]:+.2f}.",
    )


def _spread(found: Evaluation) -> tuple[float, float]:
    difference = np.subtract(found.headline.values["psnr"], found.classical.values["psnr"])
    return float(difference.min()), float(difference.max())


def _kept(kind: Kind) -> Callable[[Evaluation], Measured | None]:
    def measure(found: Evaluation) -> Measured | None:
        name = found.bench.headline
        if name not in found.bench.matched:
            return _UNMATCHED
        own, classical = found.row(at_noise(name)).contrast[kind], found.classical.contrast[kind]
        return Measured(
            own - classical,
            f"{own:.0%} ({found.classical.name} {classical:.0%}), at strength {found.bench.matched[name]:.2f}",
            f"the network takes {1 - own:.0%} of it with the noise, {found.classical.name} {1 - classical:.0%}.",
        )

    return measure


def _task_over_classical(found: Evaluation) -> Measured | None:
    task, (_, matched) = found.found(Task), _labels(found)
    if task is None:
        return None
    if matched not in task.values:
        return _UNMATCHED
    more, low, high = task.over(matched, task.best)
    return Measured(
        more,
        f"{task.mean(matched):.2f} ({task.best} {task.mean(task.best):.2f}; difference {more:+.2f}, {low:+.2f} to "
        f"{high:+.2f})",
        "the interval of the difference holds zero: they cannot be told apart." if low <= 0 <= high else
        "the difference is outside what slices of this patient vary by.",
    )  # fmt: skip


def _task_over_input(found: Evaluation) -> Measured | None:
    task, (default, matched) = found.found(Task), _labels(found)
    if task is None:
        return None
    more, low, high = task.over(default, "input")
    at_matched = f", at matched noise {task.mean(matched):.2f}" if matched in task.values else ""
    return Measured(
        more,
        f"{task.mean(default):.2f} (input {task.mean('input'):.2f}; difference {more:+.2f}, {low:+.2f} to {high:+.2f})",
        "the observer weighs frequencies by their noise itself, so that it sees in the input what is there, and a "
        f"filter can only lose; {task.best} has {task.mean(task.best):.2f}{at_matched}, full dose "
        f"{task.mean(FULL_DOSE):.2f}.",
    )


def _frequency(found: Evaluation) -> Measured | None:
    grain, (default, _) = found.found(Grain), _labels(found)
    if grain is None:
        return None
    off, before = grain.off(default), grain.off("input")
    level = grain.levels[default]
    full = grain.off(at_strength(found.bench.headline, 1.0))
    return Measured(
        abs(off),
        f"{level.frequency:.3f} cycles/px, {off:+.1f} %",
        f"at full strength it is {full:+.1f} % off, the input itself {before:+.1f} %; the blend keeps "
        f"{1 - found.bench.strength:.0%} of the input.",
    )


def _nearer(found: Evaluation) -> Measured | None:
    grain = found.found(Grain)
    if grain is None:
        return None
    near = {strength: grain.nearer(strength) for strength in grain.strengths}
    default = near[found.bench.strength]
    other = ", ".join(f"at strength {strength:g} {value:+.3f}" for strength, value in near.items())
    return Measured(
        default,
        f"nearer by {default:+.3f} of distance ({other})",
        "the adversarial stage brings no gain in texture at this strength; `texture` 0 is as good or better.",
    )


def _sharp(found: Evaluation) -> Measured | None:
    sharp, (default, _) = found.found(Sharpness), _labels(found)
    if sharp is None:
        return None
    lost = {contrast: sharp.lost(default, contrast)[0] for contrast in CONTRASTS}
    worst = max(lost, key=lambda contrast: lost[contrast])
    held = [f"{contrast:g}" for contrast, value in lost.items() if value <= 5]
    return Measured(
        lost[worst],
        ", ".join(f"{contrast:g} HU {value:+.1f} %" for contrast, value in lost.items()),
        f"faint edges drown in {found.row('input').mean('noise'):.0f} HU of noise; it is reached at "
        f"{', '.join(held) or 'no'} HU.",
    )


def _organs(found: Evaluation) -> Measured | None:
    bias = found.found(Bias)
    if bias is None:
        return None
    worst = bias.worst
    beyond = [one for one in bias.organs if abs(one.error) > 1.5]
    return Measured(
        abs(worst.error),
        f"worst of {len(bias.organs)} labels: {worst.region} ({worst.body}) {worst.error:+.2f} HU",
        f"{len(beyond)} labels are beyond it: "
        + ", ".join(f"{one.region} {one.error:+.1f}" for one in sorted(beyond, key=lambda one: -abs(one.error))[:8])
        + "; thin structures lose contrast to their surroundings.",
    )


def _harm(found: Evaluation) -> Measured | None:
    harm, (default, _) = found.found(Harm), _labels(found)
    if harm is None:
        return None
    change = harm.changes[default]
    return Measured(
        max(change.flat, change.body) / harm.noise,
        f"{change.flat:.1f} HU in flat tissue (noise {harm.noise:.1f}), {change.body:.1f} HU in the body",
        "more is changed than the noise there.",
    )


def _let_through(found: Evaluation) -> Measured | None:
    robust = found.found(Robustness)
    if robust is None:
        return None
    cases = {share: robust.cases[name] for share, name in robust.sweep.items()}
    at = [f"{own.passed} of {own.slices} at {share:g} x" for share, own in cases.items() if own.passed]
    return Measured(
        robust.passed,
        f"{robust.passed} of {sum(own.slices for own in cases.values())} slices",
        f"{', '.join(at)}: there the output is worse than its input by these measures, and the guards do not withhold.",
    )


def _agrees(found: Evaluation) -> Measured | None:
    ring, (default, _) = found.found(Ring), _labels(found)
    if ring is None:
        return None
    own, before = ring.found[default], ring.found["input"]
    return Measured(
        own.mean - before.mean,
        f"{own.mean:.3f} (input {before.mean:.3f}); {own.worse:.1%} of patches worse",
        f"the reference's own noise ({found.reference[0]:.1f} HU) is in the input too, and whatever removes it agrees "
        f"less; {found.classical.name} has {ring.found[found.classical.name].mean:.3f}.",
    )


def _noise_only(found: Evaluation) -> Measured | None:
    noise, (default, _) = found.found(NoiseOnly), _labels(found)
    if noise is None:
        return None
    own, classical = noise.found[default], noise.found[found.classical.name]
    return Measured(
        own.blob / own.usual,
        f"largest blob {own.blob:.2f} SD (structureless: {own.usual:.2f}), excess kurtosis {own.kurtosis:+.2f}",
        f"the largest blob stands out of {own.noise:.1f} HU of noise that is left, of {noise.found['input'].noise:.0f} "
        f"put in; {found.classical.name}: {classical.blob:.2f} SD (structureless: {classical.usual:.2f}).",
    )


def _shift(found: Evaluation) -> Measured | None:
    kept, (default, _) = found.found(Preserved), _labels(found)
    if kept is None:
        return None
    return Measured(kept.shift[default], f"{kept.shift[default]:.3f} px at most", "the output lies beside its input.")


def _dice(found: Evaluation) -> Measured | None:
    kept, (default, _) = found.found(Preserved), _labels(found)
    if kept is None:
        return None
    own, before = kept.dice[default], kept.dice["input"]
    return Measured(
        min(own.values()),
        ", ".join(f"{tissue} {own[tissue]:.3f} (input {before[tissue]:.3f})" for tissue in own),
        "plain thresholds follow the noise of the reference and of the output; the input's overlap stands beside it.",
    )


def _even(found: Evaluation) -> Measured | None:
    training = found.found(Training)
    if training is None or training.accuracy is None or training.outside is None:
        return None
    least, mean, most = training.accuracy
    return Measured(
        training.outside,
        f"{least:.0%} to {most:.0%}, mean {mean:.0%}",
        "one of the two networks had the upper hand for a while.",
    )


GATES = (
    Gate("PSNR over the best tuned classical filter", f"{WANTED_GAIN_DB:+.1f} dB", WANTED_GAIN_DB, _gain),
    *(
        Gate(f"contrast kept at matched noise, r{kind[0]} {kind[1]} HU", "at least the best classical filter's", 0.0,
             _kept(kind))
        for kind in DISCS
    ),
    Gate("d' at matched noise", "at least the best classical filter's", 0.0, _task_over_classical),
    Gate("d' at the default strength", "at least the input's", 0.0, _task_over_input),
    Gate("NPS mean frequency", "within 10 % of full dose", 10.0, _frequency, at_least=False),
    Gate("adversarial end's NPS", "nearer to full dose than the pixel end's", 0.0, _nearer),
    Gate("loss of MTF50", "at most 5 %", 5.0, _sharp, at_least=False),
    Gate("HU bias by organ label", "at most 1.5 HU", 1.5, _organs, at_least=False),
    Gate("change of a full-dose slice", "at most its own noise", 1.0, _harm, at_least=False),
    Gate("dose sweep 0.25 x to 4 x", "nothing worth withholding gets past the guards", 0.0, _let_through,
         at_least=False),
    Gate("Fourier ring correlation", "at least the input's", 0.0, _agrees),
    Gate("pure noise in", "no more structure out than noise of that spectrum has", 1.0, _noise_only, at_least=False),
    Gate("shift", "at most 0.05 px", 0.05, _shift, at_least=False),
    Gate("Dice of threshold masks", "at least .98", 0.98, _dice),
    Gate("accuracy of the discriminator", f"{BAND[0]:.0%} to {BAND[1]:.0%} of its patches", 0.0, _even,
         at_least=False),
)  # fmt: skip
