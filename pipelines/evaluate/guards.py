"""How often the guards of ct-denoise fire where they should not, and where they should.

`python -m pipelines.evaluate.guards [--quick] [--json] [--write-page] [--strict]`: the held-out patient at the doses of
the domain, and what lies outside of it, among it the head of `make data`. Rates that are asked for and not reached are
named; with `--strict` they end it with status 1. Figures are for single slices; in the node the worst slice decides for
its series.
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file

from dicomnode.enhance.api import Verdict

from ..ct_denoise import CTDenoise
from ..data import DataError
from ..simulate.doses import noisy_stacks
from ..volume import load_volume
from .contrast import flat_places
from .guard_blobs import Planted, planted
from .guard_cases import IN_DOMAIN, Trial, head_trials, heldout_trials, synthetic_trials
from .guard_page import case_table, page
from .guard_patterns import Patterned, patterned
from .guard_picture import write_picture
from .guard_rates import wanted
from .heldout import HELDOUT
from .methods import WEIGHTS

PAGE = Path("docs/models/ct-denoise-guards.md")
PICTURE = Path("docs/models/pictures/ct-denoise-guards-discs.png")
SLICES = range(2, 60, 3)
QUICK = 5
"""Slices of each kind with `--quick`: to see that all works, not to be quoted."""

Item = TypeVar("Item")


@dataclass
class Case:
    """What the guards said of the slices of one case."""

    slices: int = 0
    fired: int = 0
    withheld: int = 0
    by_guard: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """Spent in guards, for each slice."""


def loaded(weights: Path = WEIGHTS) -> CTDenoise:
    """The pipeline on the CPU, in float32."""
    pipeline = CTDenoise()
    pipeline.load(load_file(weights), torch.device("cpu"))
    return pipeline


def run(pipeline: CTDenoise, trials: Iterable[Trial]) -> dict[str, Case]:
    """Every trial through network and guards, as a worker does it."""
    cases: dict[str, Case] = defaultdict(Case)
    for trial in trials:
        verdicts, seconds = judge(pipeline, trial)
        case = cases[trial.case]
        case.slices += 1
        case.seconds.append(seconds)
        case.fired += any(verdict is not Verdict.PASS for verdict in verdicts.values())
        case.withheld += any(verdict is Verdict.WITHHOLD for verdict in verdicts.values())
        case.by_guard.update(name for name, verdict in verdicts.items() if verdict is not Verdict.PASS)
    return dict(cases)


@torch.inference_mode()
def judge(pipeline: CTDenoise, trial: Trial) -> tuple[dict[str, Verdict], float]:
    """The verdict of each guard on one slice, and the seconds they took."""
    from dicomnode.enhance.guards.chain import apply_guards, guards_of

    output = pipeline.enhance(trial.stack, trial.params)
    source = trial.stack[:, 1].contiguous()
    began = time.perf_counter()
    guards = guards_of(CTDenoise.guards, strength=trial.params.strength, features=pipeline.features(trial.stack))
    _, (figures,) = apply_guards(guards, source, output)
    return {figure.guard: figure.verdict for figure in figures}, time.perf_counter() - began


def artefacts(pipeline: CTDenoise, data: Path, slices: range) -> tuple[list[Patterned], list[Planted]]:
    """Patterns and discs in slices of the held-out patient, at all doses of the domain."""
    patterns: list[Patterned] = []
    discs: list[Planted] = []
    volume = load_volume(HELDOUT, data, with_labels=False)
    for z in _told(slices, "slices with patterns and lesions", len(slices)):
        places = flat_places(volume.hu[z])
        for stack in noisy_stacks(volume, z, tuple(IN_DOMAIN.values())).values():
            patterns += patterned(pipeline, stack)
            discs += planted(pipeline, stack, places)
    return patterns, discs


def _told(items: Iterable[Item], what: str, every: int | None = None) -> Iterator[Item]:
    """The items, counted on the terminal."""
    for number, item in enumerate(items, 1):
        total = f" of {every}" if every else ""
        print(f"\rguards: {what} {number}{total}", end="", file=sys.stderr, flush=True)
        yield item
    print(file=sys.stderr)


def _trials(data: Path, slices: range, count: int) -> Iterator[Trial]:
    yield from _told(heldout_trials(data, slices), "trials on the held-out patient")
    yield from _told(synthetic_trials(), "trials without a patient")
    try:
        yield from _told(head_trials(data, count), "trials on a head")
    except DataError as error:
        print(f"guards: without the head: {error}", file=sys.stderr)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluate.guards", description="Evaluate the guards.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--quick", action="store_true", help="a few slices only, to see that it works")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--write-page", action="store_true", help=f"write {PAGE} and its picture")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a rate is not reached")
    arguments = parser.parse_args()
    if arguments.quick and arguments.write_page:
        parser.error("--quick is too little for the page")
    torch.set_num_threads(1)
    slices = SLICES[:: len(SLICES) // QUICK + 1] if arguments.quick else SLICES
    try:
        pipeline = loaded()
        cases = run(pipeline, _trials(arguments.data, slices, len(slices)))
        patterns, discs = artefacts(pipeline, arguments.data, slices[::2])
    except (DataError, OSError) as error:
        print(f"guards: {error}", file=sys.stderr)
        return 2
    asked = wanted(cases, patterns, discs)
    missed = [str(one) for one in asked if not one.reached]
    print(json.dumps(_document(cases, asked), indent=1) if arguments.json else case_table(cases))
    if arguments.write_page:
        write_picture(discs, PICTURE)
        PAGE.write_text(page(cases, patterns, discs, WEIGHTS.name, PICTURE), encoding="utf-8")
        print(f"wrote {PAGE} and {PICTURE}", file=sys.stderr)
    print(
        "\n".join(["guards: not reached:", *missed]) if missed else f"guards: all {len(asked)} rates reached",
        file=sys.stderr,
    )
    return 1 if missed and arguments.strict else 0


def _document(cases: dict[str, Case], asked: Iterable[Any]) -> dict[str, Any]:
    """Everything that is counted, for a program."""
    rows = {
        name: {
            "slices": case.slices,
            "fired": case.fired,
            "withheld": case.withheld,
            "by_guard": dict(case.by_guard),
        }
        for name, case in cases.items()
    }
    rates = [
        {
            "name": one.name,
            "reached": one.reached,
            **({"count": one.rate.count, "of": one.rate.of, "interval": one.rate.interval} if one.rate else {}),
        }
        for one in asked
    ]
    return {"cases": rows, "asked_for": rates}


if __name__ == "__main__":
    sys.exit(main())
