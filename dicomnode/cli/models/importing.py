"""`models import`: weights from elsewhere, or from `models train`, as a pipeline of this site."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomnode.app import build_flow
from dicomnode.cli.common import ConfigOption, JsonOption, fail, print_json, settings_of
from dicomnode.cli.models.card_text import card_text
from dicomnode.cli.models.checkpoint import read_tensors
from dicomnode.cli.models.generator import generator_of
from dicomnode.cli.models.golden_case import golden_of_tensors
from dicomnode.cli.models.naming import Naming
from dicomnode.cli.models.said import Said, imported_card
from dicomnode.cli.models.shelf import Shelf
from dicomnode.cli.models.variant import parent_of, variant_text
from dicomnode.enhance.card import Golden, ModelCard, WeightsTable, read_card
from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.registry import Entry, Registry

if TYPE_CHECKING:
    import torch

_BY = "dicomnode models import"
_MOST_SHIFT, _MOST_SPREAD = 25.0, 100.0
"""Of what a network makes of noise about 0 with a standard deviation of 50: beyond, it was not made for these units."""
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
    tensors, beside = read_tensors(file), _card_beside(file)
    said = said.completed(beside)
    registry = build_flow(settings).registry
    naming = Naming(said.name, said.version)
    entry = _entry(registry, said.pipeline, naming)
    weights, parameters, golden, own_ends = _network(entry, tensors)
    limits = _limits_beside(file) if beside else None
    card = imported_card(
        said,
        beside,
        WeightsTable(file=naming.weights, sha256=hashlib.sha256(weights).hexdigest(), parameters=parameters),
        golden,
        _caveats(entry, own_ends, limits is not None),
    )
    text = variant_text(parent_of(entry), naming, with_limits=limits is not None)
    path = shelf.place(naming, weights, card_text(card, _BY), limits, text)
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


def _network(entry: Entry, tensors: "dict[str, torch.Tensor]") -> tuple[bytes, int, Golden, bool]:
    """The weights as a safetensors file, how many numbers they are, their golden case, whether each end has its own."""
    from safetensors.torch import load_file, save

    assert entry.weights is not None
    named, own_ends = generator_of(tensors, load_file(entry.weights))
    golden = golden_of_tensors(entry, named)
    if abs(golden.mean) > _MOST_SHIFT or golden.std > _MOST_SPREAD:
        fail(
            f"the network makes {golden.mean:.0f} +- {golden.std:.0f} of noise of 0 +- 50: it is not trained, or not "
            f"for the units of {entry.name}"
        )
    return save(named, metadata={"format": "pt"}), sum(each.numel() for each in named.values()), golden, own_ends


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
