"""`models import`: weights from elsewhere, or from `models train`, as a pipeline of this site."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, fail, print_json, settings_of, who
from dicomnode.cli.models.card_text import card_text
from dicomnode.cli.models.naming import Naming
from dicomnode.cli.models.network import network_of
from dicomnode.cli.models.said import Said, imported_card
from dicomnode.cli.models.shelf import Shelf
from dicomnode.cli.models.variant import parent_of, variant_text
from dicomnode.desk.models import note_import
from dicomnode.enhance.card import ModelCard, WeightsTable, read_card
from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.registry import Entry, Registry

_BY = "dicomnode models import"
_Words = Annotated[str, typer.Option(help="For the card.", show_default=False)]
_Lines = Annotated[list[str] | None, typer.Option(help="For the card; may be repeated.", show_default=False)]


def import_(
    file: Annotated[Path, typer.Argument(help="Weights: .safetensors, or a torch checkpoint (.pt, .pth).")],
    pipeline: Annotated[str, typer.Option(help="Whose network these weights are of.", show_default=False)] = "",
    name: Annotated[str, typer.Option(help="Of the new model; rules name it.", show_default=False)] = "",
    version: Annotated[str, typer.Option(help="Of the new model.", show_default=False)] = "",
    title: _Words = "",
    licence: _Words = "",
    intended_use: _Words = "",
    not_for: _Words = "",
    data: _Lines = None,
    limit: _Lines = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put weights beside the shipped ones, under a name of their own, with a card, a golden case and their sha256.

    A card beside FILE (the same name with .toml, as `models train` writes it) says what the options do not. Code is
    never run: only tensors are read. Nothing that is there is replaced.
    """
    said = Said(pipeline, name, version, title, licence, intended_use, not_for, data or (), limit or ())
    settings = settings_of(config)
    shelf = Shelf(settings.pipelines.path)
    beside = _card_beside(file)
    said = said.completed(beside)
    naming = Naming(said.name, said.version)
    entry = _entry(Registry.load([settings.pipelines.path]), said.pipeline, naming)
    network = network_of(entry, file, as_it_is=beside is not None)
    limits = _limits_beside(file) if beside else None
    sha256 = hashlib.sha256(network.weights).hexdigest()
    card = imported_card(
        said,
        beside,
        WeightsTable(file=naming.weights, sha256=sha256, parameters=network.parameters),
        network.golden,
        _caveats(entry, network.own_ends, limits is not None),
    )
    text = variant_text(parent_of(entry), naming, with_limits=limits is not None)
    path = shelf.place(naming, network.weights, card_text(card, _BY), limits, text)
    note_import(settings, who(), card)
    _tell(path, card, shelf.folder, as_json)


def _card_beside(file: Path) -> ModelCard | None:
    """The card of the file, if it has one. Raises CommandFailed if that is of other bytes or incomplete."""
    path = file.with_suffix(".toml")
    if not path.is_file():
        return None
    try:
        card = read_card(path)
    except EnhanceError as error:
        fail(str(error))
    if card.weights.sha256 != hashlib.sha256(file.read_bytes()).hexdigest():
        fail(f"the card {path.name} is of other weights than {file.name}; move it away, or bring the right one")
    return card


def _limits_beside(file: Path) -> str | None:
    path = file.with_suffix(".limits.toml")
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _entry(registry: Registry, pipeline: str, naming: Naming) -> Entry:
    taken = registry.get(naming.name)
    if taken is not None:
        fail(f"there is already a pipeline named {naming.name}; choose another --name")
    try:
        entry = registry.usable(pipeline)
    except EnhanceError as error:
        fail(str(error))
    if entry.weights is None:
        fail(f"pipeline {pipeline} has no weights")
    return entry


def _caveats(entry: Entry, own_ends: bool, own_limits: bool) -> list[str]:
    """What the card must say beside what the one who imports says."""
    found = []
    if not own_ends:
        found.append("It has one network, not two ends: the parameter texture changes nothing.")
    if not own_limits:
        found.append(
            f"The guards' limits are those of {entry.name}: not calibrated for these weights, without the distance in "
            "features."
        )
    return found


def _tell(path: Path, card: ModelCard, folder: Path, as_json: bool) -> None:
    if as_json:
        print_json(
            {"name": card.model.name, "weights": str(path), "sha256": card.weights.sha256, "folder": str(folder)}
        )
        return
    print(f"wrote {path} (sha256 {card.weights.sha256}), its card, and the pipeline {card.model.name} in {folder}")
    print(
        "its golden case holds; to put it live: restart the node, name it in a rule in state shadow, look, set it live"
    )
