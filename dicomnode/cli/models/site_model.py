"""A finished training run as a model: weights, card and guard limits, in a folder that appears when it is whole."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomnode import __version__
from dicomnode.cli.models.card_text import NOT_STATED, card_text
from dicomnode.cli.models.copies import Copy, Index
from dicomnode.cli.models.golden_case import golden_of
from dicomnode.cli.models.naming import Naming
from dicomnode.enhance.card import DataTable, ModelCard, ModelTable, WeightsTable
from dicomnode.enhance.registry import Entry

WEIGHTS, LIMITS = "weights.safetensors", "limits.toml"
"""What the trainer leaves in the folder of the run."""
_BY = "dicomnode models train"


def write_model(
    entry: Entry, run: Path, model: Path, index: Index, figures: Mapping[str, Any], naming: Naming, licence: str
) -> Path:
    """Write the folder `model`; returns the weights in it. Raises CommandFailed if the weights do not load."""
    partial = model.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    weights = partial / naming.weights
    shutil.copyfile(run / WEIGHTS, weights)
    shutil.copyfile(run / LIMITS, weights.with_suffix(".limits.toml"))
    card = _card(entry, weights, index, figures, naming, licence)
    weights.with_suffix(".toml").write_text(card_text(card, _BY), encoding="utf-8")
    partial.rename(model)
    return model / weights.name


def _card(
    entry: Entry, weights: Path, index: Index, figures: Mapping[str, Any], naming: Naming, licence: str
) -> ModelCard:
    assert entry.card is not None
    base, used = entry.card, [copy for copy in index.copies if not copy.held_out]
    kept = [copy for copy in index.copies if copy.held_out]
    return ModelCard(
        model=ModelTable(
            name=naming.name,
            version=naming.version,
            title=f"{base.model.title}, trained on at one site",
            intended_use=base.model.intended_use,
            not_for=base.model.not_for,
            licence=licence,
        ),
        weights=WeightsTable(
            file=weights.name,
            sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
            parameters=int(figures["parameters"]),
        ),
        training_data=(_data(used, "training"), *(base.training_data if figures["started_from"] else ())),
        held_out_data=(_data(kept, "validation of every figure in this card"),) if kept else (),
        training={
            "pipeline": entry.name,
            "trained_with": f"dicomnode {__version__}",
            "started_from": _start(entry, figures),
        }
        | dict(figures["training"]),
        metrics={"validation_slices": figures["slices"], "table": _lines(figures["table"])},
        limits=tuple(_limits(entry, index, figures)),
        golden=golden_of(entry, weights),
    )


def _data(copies: list[Copy], role: str) -> DataTable:
    """What is said of a site's images: how many, never whose."""
    slices, patients = sum(copy.slices for copy in copies), len({copy.patient for copy in copies})
    return DataTable(
        name=f"this site's own images: slices {slices}, volumes {len(copies)}, patients {patients}",
        package="not public",
        version="-",
        file="-",
        sha256=NOT_STATED,
        licence="personal data of this site, not to be passed on",
        role=role,
    )


def _start(entry: Entry, figures: Mapping[str, Any]) -> str:
    if not figures["started_from"] or entry.card is None:
        return "scratch"
    return f"{entry.card.weights.file}, sha256 {entry.card.weights.sha256}"


def _lines(table: list[Mapping[str, Any]]) -> list[str]:
    heading = " | ".join(table[0])
    return [heading, *(" | ".join("" if value is None else str(value) for value in row.values()) for row in table)]


def _limits(entry: Entry, index: Index, figures: Mapping[str, Any]) -> list[str]:
    patients = len(index.patients) - len(index.held_out)
    measured = (
        f"held-out patients of the same site ({len(index.held_out)})"
        if index.held_out
        else "the one patient it was trained on, in slices that were kept back: that says nothing about other patients"
    )
    return [
        f"Trained on images of one site (patients: {patients}); other scanners, protocols and people were not tried.",
        f"Its figures are those of {figures['slices']} slices of {measured}, with simulated noise.",
        f"How small faint structures and drawn lines fared was measured for {entry.name}; its card's limits hold here "
        "until the same is measured with these weights.",
        "Weights may keep traces of the images they were trained on: not to be passed on without asking who answers "
        "for the data.",
    ]
