"""The evaluation with JSON's types."""

import dataclasses
from typing import Any

import numpy as np

from . import gates
from .contrast import DISCS
from .evaluation import Evaluation
from .rows import Row


def as_json(found: Evaluation) -> dict[str, Any]:
    """Every figure, slice by slice where it is by slice."""
    return {
        "quarter_dose_i0": found.i0,
        "strength": found.bench.strength,
        "texture": found.bench.texture,
        "slices": len(found.bench.slices),
        "best_classical": found.classical.name,
        "gain_db": dataclasses.asdict(found.gain),
        "reference": {"noise": found.reference[0], "grain": found.reference[1]},
        "tuned": {one.name: {"settings": dict(one.settings), "psnr": one.psnr} for one in found.tuned},
        "chosen_strength": found.chosen_strength,
        "slab_psnr_by_strength": {f"{value:g}": psnr for value, psnr in found.by_strength.items()},
        "matched_strength": found.bench.matched,
        "rows": {row.name: _row(row) for row in (*found.rows, *found.matched)},
        "parts": {name: plain(dataclasses.asdict(part)) for name, part in found.findings.items()},  # type: ignore[call-overload]
        "gates": [dataclasses.asdict(row) for row in gates.results(found)],
        "seconds": found.seconds,
    }


def plain(value: Any) -> Any:
    """Keys as text, arrays as lists, numpy's numbers as Python's."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _row(row: Row) -> dict[str, Any]:
    return row.values | {"contrast": {f"r{r} {c} HU": row.contrast[r, c] for r, c in DISCS}}
