"""Train on a hospital's de-identified copies: `python -m pipelines.gan.hospital`, started by `dicomnode models train`.

The same trainer as `python -m pipelines.gan.train`, on other cases: pixel stage, adversarial stage, a checkpoint every
so often from which the same command goes on. Leaves in the folder of the run `weights.safetensors` (both ends),
`limits.toml` (the guards' limits for them), `losses.csv`, `validation.csv` and `curves.png`, and prints one JSON
document: the figures, or `{"error": one plain sentence}`.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import safe_open

from dicomnode.enhance.device import open_device
from dicomnode.enhance.errors import EnhanceError

from ..data import DataError
from .alarm import Collapsed
from .copies import Copies, read_copies
from .ct_task import CTTask
from .curves import draw_curves
from .export import export
from .parent import end_with_parent
from .plan import Plan
from .progress import shown
from .site_figures import figures
from .site_limits import write_limits
from .state import State
from .task import Task
from .train import train
from .validate import Validation
from .warm_start import WarmState

TASKS: dict[str, Callable[[], Task]] = {CTTask.pipeline: CTTask}
"""The trainers there are, by the name of their pipeline."""
_FEWER_PIXEL_STEPS, _FEWER_ADVERSARIAL_STEPS, _LOWER_RATE = 5, 3, 5


def plan_of(task: Task, warm: bool, pixel_steps: int | None, adversarial_steps: int | None) -> Plan:
    """The shipped plan; a warm start takes fewer steps at a lower rate, to learn what is new and forget little."""
    plan = task.plan
    if warm:
        plan = replace(
            plan,
            pixel_steps=max(1, plan.pixel_steps // _FEWER_PIXEL_STEPS),
            adversarial_steps=max(1, plan.adversarial_steps // _FEWER_ADVERSARIAL_STEPS),
            pixel_rate=plan.pixel_rate / _LOWER_RATE,
        )
    return replace(
        plan,
        pixel_steps=pixel_steps or plan.pixel_steps,
        adversarial_steps=adversarial_steps or plan.adversarial_steps,
    )


def run(
    task: Task, plan: Plan, copies: Copies, folder: Path, start: Path | None, device: torch.device, quiet: bool
) -> dict[str, Any]:
    """A whole run, or the rest of one; see the module. Raises DataError, ValueError, Collapsed."""
    with shown(plan, Console(stderr=True, quiet=quiet)) as (report, on_step):  # stdout is the answer
        state = state_of(folder, plan, task.unit, device, start)  # first: weights that do not fit cost no time
        cases = [case.to(device) for case in copies.cases(folder, report)]
        slices = copies.validation()
        train(state, task, cases, folder, Validation(slices), report, on_step)
    draw_curves(folder)
    weights = folder / "weights.safetensors"
    export(state, folder / "losses.csv", weights)
    write_limits(weights, copies.training, folder / "limits.toml")
    with safe_open(weights, framework="pt") as file:
        training = json.loads(file.metadata()["training"])
    return {
        "started_from": bool(start),
        "training": training,
        "parameters": 2 * sum(value.numel() for value in state.average.state_dict().values()),
        "slices": len(slices),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "table": figures(slices, {"before": start, "after": weights}),
    }


def state_of(folder: Path, plan: Plan, unit: float, device: torch.device, start: Path | None) -> State:
    """From the run's checkpoint, else from the weights to start from, else from nothing."""
    checkpoint = folder / "last.safetensors"
    kind = WarmState if start else State
    state = kind.resume(checkpoint, plan, unit, device) if checkpoint.exists() else kind(plan, unit, device)
    if isinstance(state, WarmState) and start:
        if checkpoint.exists():
            state.remember(start)
        else:
            state.begin(start)
    return state


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when the weights are written."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # whatever is written holds or shows pixels of patients
    torch.set_num_threads(options.threads)
    if options.end_with_stdin:
        end_with_parent()
    try:
        document = _asked(options)
    except (DataError, ValueError, EnhanceError, Collapsed, OSError) as error:
        document = {"error": str(error)}
    except KeyboardInterrupt:
        document = {"error": "interrupted; the same command goes on where it stopped"}
    print(json.dumps(document))
    return int("error" in document)


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    if options.pipeline not in TASKS:
        known = ", ".join(sorted(TASKS))
        raise ValueError(f"there is no trainer for {options.pipeline} yet; there is one for {known}")
    task = TASKS[options.pipeline]()
    plan = plan_of(task, options.start is not None, options.pixel_steps, options.adversarial_steps)
    device = open_device(options.device)
    options.run.mkdir(parents=True, exist_ok=True)
    return run(task, plan, read_copies(options.copies), options.run, options.start, device, options.quiet)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.gan.hospital", description="Train on a site's copies.")
    parser.add_argument("--pipeline", required=True)
    parser.add_argument("--copies", type=Path, required=True, help="folder of the de-identified copies")
    parser.add_argument("--run", type=Path, required=True, help="folder for noise, checkpoint, logs and the result")
    parser.add_argument("--start", type=Path, help="weights to begin at; from nothing if left out")
    parser.add_argument("--pixel-steps", type=int)
    parser.add_argument("--adversarial-steps", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="say nothing on stderr")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
