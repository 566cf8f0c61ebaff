"""Evaluate the CT denoiser: `python -m pipelines.evaluate.ct [--write-card] [--json] [--only PART ...]`.

The patient is held out: no network was trained, no filter tuned and no strength chosen on it; the test dose was set
knowing its noise. Each classical filter is tuned on slices of the training patients with the same budget. The classical
filter that the network must beat is the one that does best on the held-out patient itself. The exit status is 0 when
all was measured, whatever the figures say; with `--strict` it is 1 if a gate is not reached.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..data import DataError
from . import gates
from .card import card_text
from .curves import write_curves
from .evaluation import PARTS, TABLE_STEPS, Evaluation, evaluate
from .methods import WEIGHTS
from .page import page
from .pictures import write_pictures
from .record import as_json
from .text import plain

DOCS_PAGE = Path("docs/models/ct-denoise.md")
PICTURES = "pictures"


def main() -> int:
    """The command line."""
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    try:
        found = _evaluated(arguments)
    except (DataError, FileNotFoundError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print(json.dumps(as_json(found), indent=2) if arguments.json else plain(found))
    if arguments.write_card:
        write(found, arguments.weights.with_suffix(".toml"), DOCS_PAGE)
    reached = all(result.reached for result in gates.results(found))
    return 1 if arguments.strict and not reached else 0


def write(found: Evaluation, card: Path, to: Path) -> None:
    """The card, the page and its pictures."""
    pictures = [*write_pictures(found.bench, to.parent / PICTURES), *write_curves(found, to.parent / PICTURES)]
    curves = card.with_suffix(".curves.png")
    if curves.exists():
        pictures.append(Path(shutil.copyfile(curves, to.parent / PICTURES / "training.png")))
    card.write_text(card_text(found), encoding="utf-8")
    to.write_text(page(found, pictures, to.parent), encoding="utf-8")
    print(f"wrote {card}, {to} and {len(pictures)} pictures", file=sys.stderr)


def _evaluated(arguments: argparse.Namespace) -> Evaluation:
    parts = [name for name in PARTS if not arguments.only or name in arguments.only]
    look = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*look, console=Console(stderr=True)) as progress:
        steps = progress.add_task("reading", total=len(parts) + TABLE_STEPS, completed=-1)
        found = evaluate(
            arguments.data,
            arguments.weights,
            arguments.threads,
            parts,
            lambda name: progress.update(steps, advance=1, description=name),
        )
        progress.update(steps, advance=1, description="done")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluate.ct", description="Evaluate the CT denoiser.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    parser.add_argument(
        "--only", nargs="*", choices=list(PARTS), metavar="PART", help=f"beside the table: {', '.join(PARTS)}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--write-card", action="store_true", help=f"write the model card, {DOCS_PAGE} and its pictures")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a gate is not reached")
    return parser


if __name__ == "__main__":
    sys.exit(main())
