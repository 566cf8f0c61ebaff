"""Compare two models on the same slices: `python -m pipelines.gan.compare`, started by `dicomnode models compare`.

With `--copies` the slices are a hospital's (see `copies`), as scanned and at a simulated low dose; without it they are
the tuning slices of the evaluation. Prints one JSON document: the figures, or `{"error": one plain sentence}`.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dicomnode.enhance.api import Verdict
from dicomnode.enhance.card import ModelCard

from ..data import DataError
from ..evaluate.contrast import DISCS, flat_places, kept
from ..evaluate.figures import Image, body, psnr, rmse, ssim
from ..evaluate.heldout import TUNING_I0, Slice, simulate, tuning
from ..evaluate.texture import noise_texture
from ..volume import Volume
from .copies import read_copies
from .parent import end_with_parent
from .sides import Side, side
from .site_figures import mean

Inputs = dict[str, list[Slice]]
AS_SCANNED, LOW_DOSE = "as scanned", "simulated low dose"
_TOLD = {
    "weights": ("sha256", "parameters"),
    "model": ("name", "version", "title", "licence", "intended_use", "not_for"),
}


def inputs_of(volumes: Sequence[Volume], count: int) -> Inputs:
    """`count` slices spread over the volumes, as scanned (their own reference) and at a simulated low dose."""
    places = [(volume, z) for volume in volumes for z in range(1, len(volume.hu) - 1)]
    chosen = [places[row] for row in np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)]
    return {
        AS_SCANNED: [_as_scanned(volume, z) for volume, z in chosen],
        LOW_DOSE: [one for volume, z in chosen for one in simulate(volume, [z], TUNING_I0)],
    }


def compare(a: Side, b: Side, inputs: Inputs) -> dict[str, Any]:
    """A row for the input and for each model on each kind of input, both models against each other, both cards."""
    rows, between = [], []
    for kind, slices in inputs.items():
        outputs = {each.label: [each.judged(one.noisy) for one in slices] for each in (a, b)}
        rows.append(_row(kind, "input", [one.noisy[1] for one in slices], slices))
        for each in (a, b):
            images = [image for image, _ in outputs[each.label]]
            counts = Counter(verdict for _, verdict in outputs[each.label])
            row = _row(kind, each.label, images, slices) | _kept(each, slices)
            rows.append(row | {verdict.value: counts[verdict] for verdict in Verdict})
        pairs = [(x, y) for (x, _), (y, _) in zip(outputs[a.label], outputs[b.label], strict=True)]
        between.append({"input": kind} | _against(pairs, slices))
    return {
        "slices": {kind: len(slices) for kind, slices in inputs.items()},
        "rows": rows,
        "between": between,
        "cards": card_differences(a.card, b.card),
    }


def card_differences(a: ModelCard | None, b: ModelCard | None) -> list[dict[str, str]]:
    """What differs between two cards, field by field; a missing card is said so."""
    told = [_told(card) for card in (a, b)]
    names = dict.fromkeys(name for one in told for name in one)
    rows = [{"field": name, "a": told[0].get(name, ""), "b": told[1].get(name, "")} for name in names]
    return [row for row in rows if row["a"] != row["b"]]


def _told(card: ModelCard | None) -> dict[str, str]:
    if card is None:
        return {"card": "there is none"}
    found = {
        f"{table}.{name}": str(getattr(getattr(card, table), name)) for table, names in _TOLD.items() for name in names
    }
    found |= {f"training.{name}": str(value) for name, value in card.training.items()}
    for table in ("training_data", "held_out_data"):
        found[table] = "; ".join(row.name for row in getattr(card, table))
    return found | {"limits": " ".join(card.limits)}


def _as_scanned(volume: Volume, z: int) -> Slice:
    centre = volume.hu[z]
    return Slice(f"{volume.name} {z}", volume.hu[z - 1 : z + 2], centre, body(centre), flat_places(centre))


def _row(kind: str, label: str, images: Sequence[Image], slices: Sequence[Slice]) -> dict[str, Any]:
    """Figures against the reference; an image as scanned has none but itself, so there they tell how much changed."""
    pairs = list(zip(images, slices, strict=True))
    textures = [noise_texture(image, one.places) for image, one in pairs if one.places]
    return {
        "input": kind,
        "model": label,
        **_against([(image, one.clean) for image, one in pairs], slices),
        "noise": mean([noise for noise, _ in textures], 2),
        "grain": mean([grain for _, grain in textures], 4),
    }


def _against(pairs: Sequence[tuple[Image, Image]], slices: Sequence[Slice]) -> dict[str, Any]:
    both = list(zip(pairs, slices, strict=True))
    return {
        "psnr": mean([psnr(x, y) for x, y in pairs], 2),
        "ssim": mean([ssim(x, y, one.inside) for (x, y), one in both], 4),
        "rmse": mean([rmse(x, y, one.inside) for (x, y), one in both], 2),
    }


def _kept(each: Side, slices: Sequence[Slice]) -> dict[str, Any]:
    shares = [kept(each.run, one.noisy, one.places) for one in slices if one.places]
    return {f"r{r} {c} HU": mean([share[r, c] for share in shares], 3) for r, c in DISCS}


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when both were compared."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    if options.end_with_stdin:
        end_with_parent()
    try:
        document = _asked(options)
    except (DataError, ValueError, OSError) as error:
        document = {"error": str(error)}
    print(json.dumps(document))
    return int("error" in document)


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    a, b = (side(asked, options.pipeline, options.folder) for asked in (options.a, options.b))
    if a.label == b.label:
        a, b = replace(a, label=f"{a.label} (A)"), replace(b, label=f"{b.label} (B)")
    if options.copies:
        copies = read_copies(options.copies)
        return compare(a, b, inputs_of((*copies.training, *copies.held_out), options.slices))
    return compare(a, b, {LOW_DOSE: tuning(options.data)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.gan.compare", description="Compare two models.")
    parser.add_argument("--a", required=True, help="a pipeline's name or a safetensors file")
    parser.add_argument("--b", required=True)
    parser.add_argument("--pipeline", required=True, help="whose network the weights in a file are of")
    parser.add_argument("--folder", type=Path, action="append", default=[], help="of a site's own pipelines")
    parser.add_argument("--copies", type=Path, help="a hospital's de-identified copies")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the open volumes")
    parser.add_argument("--slices", type=int, default=12)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
