"""Evaluate the CT denoiser: `python -m pipelines.evaluate.ct [--write-card] [--json]`.

The patient is held out: no network was trained, no filter tuned and no strength chosen on it; the test dose was set
knowing its noise. One quarter dose, one strength for every row of the network; each classical filter is tuned on slices
of the training patients with the same budget. The classical filter that the network must beat is the one that does
best on the held-out patient itself. Exit status 1 if it does not beat that by 1 dB of PSNR.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from ..data import DataError
from .card import card_text
from .evaluation import WANTED_GAIN_DB, evaluate
from .methods import WEIGHTS
from .text import as_json, page, plain

DOCS_PAGE = Path("docs/models/ct-denoise.md")


def main() -> int:
    """The command line; 0 when the network beats the best classical filter by enough."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluate.ct", description="Evaluate the CT denoiser.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--write-card", action="store_true", help=f"write the model card and {DOCS_PAGE}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        found = evaluate(arguments.data, arguments.weights, arguments.threads)
    except (DataError, FileNotFoundError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print(json.dumps(as_json(found), indent=2) if arguments.json else plain(found))
    if arguments.write_card:
        card = arguments.weights.with_suffix(".toml")
        card.write_text(card_text(arguments.weights, found), encoding="utf-8")
        DOCS_PAGE.parent.mkdir(parents=True, exist_ok=True)
        DOCS_PAGE.write_text(page(found), encoding="utf-8")
        print(f"wrote {card} and {DOCS_PAGE}", file=sys.stderr)
    return 0 if found.gain.mean >= WANTED_GAIN_DB else 1


if __name__ == "__main__":
    sys.exit(main())
