"""The registry: every pipeline this node knows, usable or broken with the reason. Loads no torch."""

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.recipe import Recipe, canonical_json
from dicomnode.domain.writer_profile import WriterProfile
from dicomnode.enhance import discovery
from dicomnode.enhance.api import Acceptance, Envelope, GuardLimits, Pipeline, PipelineParams
from dicomnode.enhance.card import ModelCard, read_card
from dicomnode.enhance.errors import CardRefused, ParamsRefused, PipelineBroken, PipelineUnknown
from dicomnode.enhance.loaded_code import loaded_code
from dicomnode.observe import in_short, wordless

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
            answer: object = self.create().accepts(facts)
        except PipelineBroken as error:
            return Acceptance.no(str(error))
        except (Exception, SystemExit) as error:
            return Acceptance.no(f"pipeline {self.name} failed to judge the series: {wordless(error)}")
        if not isinstance(answer, Acceptance):
            what = type(answer).__name__
            return Acceptance.no(f"pipeline {self.name} failed to judge the series: {what} is no Acceptance")
        return answer

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

    def __init__(self, entries: Iterable[Entry], code: Mapping[str, str] | None = None) -> None:
        self.entries: tuple[Entry, ...] = tuple(_without_duplicates(entries))
        self._code = dict(code or {})

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
        modules = {entry.pipeline.__module__ for entry in entries if entry.pipeline}
        return cls(entries, loaded_code({*map(discovery.package_of, unique.values()), *modules}))

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

    def fingerprint(self) -> dict[str, Any]:
        """What it was loaded from, as plain JSON: for another process to say whether it decides by the same."""
        return {"pipelines": [list(_identity(entry)) for entry in self.entries], "code": self._code}

    def agrees(self, fingerprint: Mapping[str, Any]) -> bool:
        """Whether this registry has the same pipelines, of the same code, as the one with this fingerprint had.

        The other process may have imported more since; what this one has imported is held against it.
        """
        theirs: Mapping[str, str] = fingerprint["code"]
        same = [list(_identity(entry)) for entry in self.entries] == fingerprint["pipelines"]
        return same and all(theirs.get(name) == sha256 for name, sha256 in self._code.items())

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


def _identity(entry: Entry) -> tuple[str, str, str, bool]:
    """Name, version, the weights' SHA-256, and whether it is usable."""
    return entry.name, entry.version, entry.card.weights.sha256 if entry.card else "", entry.usable


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
    except Exception as error:
        return Entry(name=path.stem.replace("_", "-"), path=path, error=_why_not(path.name, error))


def _from_entry_point(point: EntryPoint) -> Entry:
    try:
        pipeline = discovery.load_entry_point(point)
        return _entry(pipeline, Path(inspect.getfile(pipeline)))
    except Exception as error:
        return Entry(name=point.name, path=Path(point.value), error=_why_not(point.value, error))


def _why_not(what: str, error: Exception) -> str:
    """One odd file keeps no other from being read: whatever it fails by is its own error."""
    if isinstance(error, discovery.NotLoadable):
        return str(error)
    return f"{what} cannot be read as a pipeline: {discovery.in_a_line(error)}"


def _entry(pipeline: type[Pipeline], path: Path) -> Entry:
    """Check the class attributes and find weights and card. The weights' bytes are verified where they are loaded."""
    name, version = getattr(pipeline, "name", None), getattr(pipeline, "version", None)
    entry = Entry(
        name=name if isinstance(name, str) else path.stem.replace("_", "-"),
        version=version if isinstance(version, str) else "",
        path=path,
        pipeline=pipeline,
    )
    fault = _fault(pipeline) or _params_fault(pipeline.Params)
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
        "title must be a text": isinstance(pipeline.title, str),
        f"neighbours must be a number from 0 to {_MOST_NEIGHBOURS}": isinstance(pipeline.neighbours, int)
        and 0 <= pipeline.neighbours <= _MOST_NEIGHBOURS,
        'scope must be "slice"; whole volumes are not run yet': pipeline.scope == "slice",
        'units must be "physical" or "stored"': pipeline.units in ("physical", "stored"),
        "Params must be a subclass of PipelineParams": inspect.isclass(pipeline.Params)
        and issubclass(pipeline.Params, PipelineParams),
        "envelope must be an Envelope and guards a GuardLimits": isinstance(pipeline.envelope, Envelope)
        and isinstance(pipeline.guards, GuardLimits),
        "weights must be a file name in the folder weights, ending in .safetensors": pipeline.weights is None
        or (
            isinstance(pipeline.weights, str)
            and Path(pipeline.weights).name == pipeline.weights
            and pipeline.weights.endswith(".safetensors")
        ),
        "pixel guards need physical units and an unchanged grid": not guards.look_at_pixels
        or (pipeline.units == "physical" and pipeline.same_grid),
    }
    return next((message for message, holds in checks.items() if not holds), "")


def _params_fault(params: type[PipelineParams]) -> str:
    """Why the parameters cannot be written as JSON, or nothing.

    A recipe holds their values; the rule editor and the API ask all pipelines for their schema, and one without would
    take the others with it.
    """
    try:
        with suppress(ValidationError):  # a parameter without default is each rule's to state
            canonical_json(params().model_dump(mode="json")).encode()
        canonical_json(params.model_json_schema())
    except Exception as error:
        return f"its parameters cannot be written as JSON: {in_short(error)}"
    return ""
