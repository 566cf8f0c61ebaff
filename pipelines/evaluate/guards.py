"""How often the guards of ct-denoise fire where they should not, and where they should.

`python -m pipelines.evaluate.guards [--head Cranium.inv3] [--write-page]`: the held-out patient at the doses of the
domain, and what lies outside of it. Figures are for single slices; in the node the worst slice decides for its series.
"""

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch
from safetensors.torch import load_file

from dicomnode.enhance.api import Verdict

from ..ct_denoise import CTDenoise
from ..data import DataError
from .guard_blobs import Planted, planted
from .guard_cases import Trial, head_trials, heldout_trials, synthetic_trials
from .guard_page import page, table
from .methods import WEIGHTS

PAGE = Path("docs/models/ct-denoise-guards.md")
SLICES = range(2, 60, 3)


@dataclass
class Case:
    """What the guards said of the slices of one case."""

    slices: int = 0
    fired: int = 0
    withheld: int = 0
    by_guard: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    """Spent in guards."""


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
        case.seconds += seconds
        case.fired += any(verdict is not Verdict.PASS for verdict in verdicts.values())
        case.withheld += any(verdict is Verdict.WITHHOLD for verdict in verdicts.values())
        case.by_guard.update(name for name, verdict in verdicts.items() if verdict is not Verdict.PASS)
    return dict(cases)


@torch.inference_mode()
def judge(pipeline: CTDenoise, trial: Trial) -> tuple[dict[str, Verdict], float]:
    """The verdict of each guard on one slice at the default parameters, and the seconds they took."""
    from dicomnode.enhance.guards.chain import apply_guards, guards_of

    params = CTDenoise.Params()
    output = pipeline.enhance(trial.stack, params)
    if trial.edit is not None:
        output = trial.edit(output)
    source = trial.stack[:, 1].contiguous()
    began = time.perf_counter()
    guards = guards_of(CTDenoise.guards, strength=params.strength, features=pipeline.features(trial.stack))
    _, (figures,) = apply_guards(guards, source, output)
    return {figure.guard: figure.verdict for figure in figures}, time.perf_counter() - began


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluate.guards", description="Evaluate the guards.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--head", type=Path, help="Cranium.inv3 of Debian's package invesalius-examples")
    parser.add_argument("--write-page", action="store_true", help=f"write {PAGE}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        pipeline = loaded()
        head = head_trials(arguments.head) if arguments.head else ()
        cases = run(pipeline, chain(heldout_trials(arguments.data, SLICES), synthetic_trials(), head))
        discs: list[Planted] = list(planted(pipeline, arguments.data, SLICES[::3]))
    except (DataError, OSError) as error:
        print(f"guards: {error}", file=sys.stderr)
        return 2
    print(table(cases))
    if arguments.write_page:
        PAGE.write_text(page(cases, discs), encoding="utf-8")
        print(f"wrote {PAGE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
