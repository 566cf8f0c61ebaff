"""What is said of imported weights, by options and by the card beside them, and the card that is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from dicomnode import __version__
from dicomnode.cli.common import fail
from dicomnode.cli.models.card_text import NOT_STATED
from dicomnode.enhance.card import DataTable, Golden, ModelCard, ModelTable, WeightsTable


@dataclass(frozen=True)
class Said:
    """One field for each option; empty where nothing was said. `data` and `limits` are sentences."""

    pipeline: str
    name: str
    version: str
    title: str
    licence: str
    intended_use: str
    not_for: str
    data: Sequence[str]
    limits: Sequence[str]

    def completed(self, beside: ModelCard | None) -> Self:
        """Filled up from the card beside the weights. Raises CommandFailed naming every option still missing."""
        filled = self if beside is None else self._filled(beside)
        needed = {
            "--pipeline": filled.pipeline,
            "--name": filled.name,
            "--version": filled.version,
            "--licence": filled.licence,
            "--data": filled.data,
            "--intended-use": filled.intended_use,
            "--not-for": filled.not_for,
            "--limit": filled.limits,
        }
        missing = [option for option, value in needed.items() if not value]
        if missing:
            fail(f"a model is used only with a card that says what it is; options missing: {', '.join(missing)}")
        return filled

    def _filled(self, card: ModelCard) -> Self:
        model = card.model
        return type(self)(
            pipeline=self.pipeline or str(card.training.get("pipeline", "")),
            name=self.name or model.name,
            version=self.version or model.version,
            title=self.title or model.title,
            licence=self.licence or model.licence,
            intended_use=self.intended_use or model.intended_use,
            not_for=self.not_for or model.not_for,
            data=self.data or tuple(row.name for row in card.training_data),
            limits=self.limits or card.limits,
        )


def imported_card(
    said: Said, beside: ModelCard | None, weights: WeightsTable, golden: Golden, caveats: Sequence[str]
) -> ModelCard:
    """The card of imported weights. What the card beside them tells of data, training and figures is kept."""
    return ModelCard(
        model=ModelTable(
            name=said.name,
            version=said.version,
            title=said.title or f"{said.pipeline} with imported weights",
            intended_use=said.intended_use,
            not_for=said.not_for,
            licence=said.licence,
        ),
        weights=weights,
        training_data=beside.training_data if beside else tuple(map(_data, said.data)),
        held_out_data=beside.held_out_data if beside else (),
        training=(beside.training if beside else {})
        | {"pipeline": said.pipeline, "imported_with": f"dicomnode {__version__}"},
        metrics=beside.metrics if beside else {},
        limits=(*said.limits, *(line for line in caveats if line not in said.limits)),
        golden=golden,
    )


def _data(name: str) -> DataTable:
    """Training data of which nothing is known but what was said."""
    words = "as said by the one who imported the weights"
    return DataTable(
        name=name, package="not stated", version="-", file="-", sha256=NOT_STATED, licence="not stated", role=words
    )
