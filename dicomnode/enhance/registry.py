"""The registry: every pipeline this node knows, usable or broken with the reason. Loads no torch."""

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.writer_profile import WriterProfile
from dicomnode.enhance import discovery
from dicomnode.enhance.api import Acceptance, Envelope, GuardLimits, Pipeline, PipelineParams
from dicomnode.enhance.card import ModelCard, read_card
from dicomnode.enhance.errors import CardRefused, ParamsRefused, PipelineBroken, PipelineUnknown

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]*")
_MOST_NEIGHBOURS = 16


@dataclass(frozen=True)
class Entry:
    """One pipeline file or entry point. `error` is empty or one sentence; with an error the entry is not used.

    A pipeline's identity is its name and version, its weights' sha256 and its parameters. The code's own hash is
    not part of it (a comment would make all work new): whoever changes what a pipeline computes changes `version`.
    """

    name: str
    path: Path
    version: str = ""
    pipeline: type[Pipeline] | None = None
    card: ModelCard | None = None
    weights: Path | None = None
    error: str = ""

    @property
    def usable(self) -> bool:
        return self.pipeline is not None and not self.error

    @property
    def title(self) -> str:
        return self.pipeline.title if self.pipeline else ""

    def create(self) -> Pipeline:
        """A new instance of the pipeline, without its network; PipelineBroken if the entry is not usable."""
        if self.pipeline is None or self.error:
            raise PipelineBroken(f"pipeline {self.name} is broken: {self.error}")
        return self.pipeline()

    def accepts(self, facts: SeriesFacts) -> Acceptance:
        """What the pipeline says of a series; one that fails to say does not accept it, and the reason tells so."""
        try:
            return self.create().accepts(facts)
        except PipelineBroken as error:
            return Acceptance.no(str(error))
        except Exception as error:
            return Acceptance.no(f"pipeline {self.name} failed to judge the series: {type(error).__name__}: {error}")

    def params(self, params: Mapping[str, Any]) -> PipelineParams:
        """The parameters, checked and completed with defaults; ParamsRefused with one sentence."""
        try:
            return type(self.create()).Params.model_validate(dict(params))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "parameters"
            raise ParamsRefused(f"pipeline {self.name}: {where}: {first['msg']}") from error


class Registry:
    """All entries in the order found: the bundled pipelines, the administrator's folders, entry points."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries: tuple[Entry, ...] = tuple(_without_duplicates(entries))

    @classmethod
    def load(cls, folders: Sequence[Path] = (), *, bundled: bool = True, entry_points: bool = True) -> Self:
        """Look through the bundled pipelines, `folders` and the entry points. Never raises for a broken file.

        A folder that does not exist holds no pipelines; one that is named twice counts once.
        """
        found = discovery.bundled_folder() if bundled else None
        wanted = ([found] if found else []) + list(folders)
        unique = {folder.resolve(): folder for folder in wanted if folder.is_dir()}
        entries = [_from_file(path) for folder in unique.values() for path in discovery.pipeline_files(folder)]
        if entry_points:
            entries += [_from_entry_point(point) for point in discovery.installed_entry_points()]
        return cls(entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def get(self, name: str) -> Entry | None:
        """The entry of that name, the usable one if there are several; None if there is none."""
        same = [entry for entry in self.entries if entry.name == name]
        return next((entry for entry in same if entry.usable), same[0] if same else None)

    def usable(self, name: str) -> Entry:
        """The entry to work with; PipelineUnknown (with the nearest names) or PipelineBroken (with the reason)."""
        entry = self.get(name)
        if entry is None:
            near = difflib.get_close_matches(name, [known.name for known in self.entries], n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise PipelineUnknown(f"there is no pipeline named {name}{hint}")
        if not entry.usable:
            raise PipelineBroken(f"pipeline {name} is broken: {entry.error}")
        return entry

    def params_models(self) -> dict[str, type[PipelineParams]]:
        """`Params` of every usable pipeline by name: what rule import and the rule editor check against."""
        return {entry.name: entry.pipeline.Params for entry in self.entries if entry.usable and entry.pipeline}

    def broken(self) -> dict[str, str]:
        """Why each pipeline that cannot be used cannot, by name."""
        return {entry.name: entry.error for entry in self.entries if not entry.usable}

    def recipe(
        self, name: str, params: Mapping[str, Any], writer_profile: WriterProfile | Mapping[str, Any] | None = None
    ) -> Recipe:
        """What determines the output: completed parameters and the card's weights hash.

        Raises PipelineUnknown, PipelineBroken or ParamsRefused.
        """
        entry = self.usable(name)
        profile = writer_profile if isinstance(writer_profile, WriterProfile) else WriterProfile(**writer_profile or {})
        return Recipe(
            pipeline=entry.name,
            version=entry.version,
            weights_sha256=entry.card.weights.sha256 if entry.card else "",
            params=entry.params(params).model_dump(mode="json"),
            writer_profile=profile.model_dump(mode="json"),
        )


def _without_duplicates(entries: Iterable[Entry]) -> Iterator[Entry]:
    taken: dict[str, Path] = {}
    for entry in entries:
        if entry.usable and entry.name in taken:
            yield replace(entry, error=f"the name {entry.name} is already taken by {taken[entry.name].name}")
            continue
        if entry.usable:
            taken[entry.name] = entry.path
        yield entry


def _from_file(path: Path) -> Entry:
    try:
        return _entry(discovery.load_file(path), path)
    except discovery.NotLoadable as error:
        return Entry(name=path.stem.replace("_", "-"), path=path, error=str(error))


def _from_entry_point(point: EntryPoint) -> Entry:
    try:
        pipeline = discovery.load_entry_point(point)
        return _entry(pipeline, Path(inspect.getfile(pipeline)))
    except discovery.NotLoadable as error:
        return Entry(name=point.name, path=Path(point.value), error=str(error))


def _entry(pipeline: type[Pipeline], path: Path) -> Entry:
    """Check the class attributes and find weights and card. The weights' bytes are verified where they are loaded."""
    name, version = getattr(pipeline, "name", None), getattr(pipeline, "version", None)
    entry = Entry(
        name=name if isinstance(name, str) else path.stem.replace("_", "-"),
        version=version if isinstance(version, str) else "",
        path=path,
        pipeline=pipeline,
    )
    fault = _fault(pipeline)
    if fault:
        return replace(entry, error=f"{path.name}: {fault}")
    if pipeline.weights is None:
        return entry
    weights = path.parent / "weights" / pipeline.weights
    entry = replace(entry, weights=weights)
    try:
        card = read_card(weights.with_suffix(".toml"))
    except CardRefused as error:
        return replace(entry, error=str(error))
    entry = replace(entry, card=card)
    if card.weights.file != pipeline.weights:
        return replace(entry, error=f"the model card is of {card.weights.file}, not of {pipeline.weights}")
    if card.model.name != entry.name:
        return replace(entry, error=f"the model card is of {card.model.name}, not of {entry.name}")
    if not weights.is_file():
        return replace(entry, error=f"the weights {pipeline.weights} are missing")
    return entry


def _fault(pipeline: type[Pipeline]) -> str:
    """What is wrong with the class attributes, or nothing."""
    name, version = getattr(pipeline, "name", None), getattr(pipeline, "version", None)
    guards = pipeline.guards if isinstance(pipeline.guards, GuardLimits) else GuardLimits()
    checks = {
        "name must be words of small letters and digits joined by hyphens": isinstance(name, str)
        and _NAME.fullmatch(name) is not None,
        "version must be a text such as 1.0.0": isinstance(version, str) and _VERSION.fullmatch(version) is not None,
        f"neighbours must be a number from 0 to {_MOST_NEIGHBOURS}": isinstance(pipeline.neighbours, int)
        and 0 <= pipeline.neighbours <= _MOST_NEIGHBOURS,
        'scope must be "slice"; whole volumes are not run yet': pipeline.scope == "slice",
        'units must be "physical" or "stored"': pipeline.units in ("physical", "stored"),
        "Params must be a subclass of PipelineParams": inspect.isclass(pipeline.Params)
        and issubclass(pipeline.Params, PipelineParams),
        "envelope must be an Envelope and guards a GuardLimits": isinstance(pipeline.envelope, Envelope)
        and isinstance(pipeline.guards, GuardLimits),
        "weights must be a file name in the folder weights, ending in .safetensors": pipeline.weights is None
        or (Path(pipeline.weights).name == pipeline.weights and pipeline.weights.endswith(".safetensors")),
        "pixel guards need physical units and an unchanged grid": not guards.look_at_pixels
        or (pipeline.units == "physical" and pipeline.same_grid),
    }
    return next((message for message, holds in checks.items() if not holds), "")
