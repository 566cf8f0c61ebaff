"""The site document: destinations and rules as YAML, read as a whole or refused as a whole."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from dicomnode.domain.problem import Problem, nearest, problems_of, refusal
from dicomnode.domain.site import SITE_KEYS, Site, repeated
from dicomnode.route import vocabulary, yaml_text
from dicomnode.route.standing import stands

PipelineParams = Mapping[str, type[BaseModel]]
"""Each pipeline's name and the model of its parameters."""


class SiteRefused(ValueError):
    """The document was refused; `problems` holds every finding, in the order of the document."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class _Words:
    """The validation context: what may be named in this document, on this node."""

    def __init__(
        self,
        destinations: frozenset[str],
        tls_identities: Collection[str],
        pipelines: PipelineParams,
        broken: Mapping[str, str],
    ) -> None:
        self.destinations, self.tls_identities = destinations, tls_identities
        self._pipelines, self._broken = pipelines, broken

    def check_attribute(self, attribute: str, private_creator: str | None) -> None:
        vocabulary.check_attribute(attribute, private_creator)

    def check_pipeline(self, pipeline: str) -> None:
        if pipeline in self._broken and pipeline not in self._pipelines:
            raise refusal(f"pipeline {pipeline!r} is broken: {self._broken[pipeline]}.")
        if pipeline not in self._pipelines:
            raise refusal(f"there is no pipeline {pipeline!r} on this node.", nearest(pipeline, self._pipelines))

    def check_params(self, pipeline: str, params: dict[str, Any]) -> None:
        model = self._pipelines[pipeline]
        try:
            model.model_validate(params)
        except ValidationError as error:
            found = problems_of(error, tuple(model.model_fields))
            raise refusal("", parts=[(problem.path, problem) for problem in found]) from None


def read_site(
    text: str,
    pipelines: PipelineParams,
    broken: Mapping[str, str] | None = None,
    tls_identities: Collection[str] = (),
    *,
    known: Collection[Site] = (),
) -> Site:
    """The site of a YAML text. Raises SiteRefused with all that is wrong; nothing else is ever raised.

    `pipelines` are those this node has: a rule may name no other, and its parameters must fit. `broken` gives the
    reason for those that are there and cannot be used. `tls_identities` are the names a destination's `tls` may have.
    What stands in a `known` site as it does here is held against none of them: see `standing`.
    """
    try:
        document, lines = yaml_text.load(text)
    except yaml_text.YamlRefused as error:
        raise SiteRefused(error.problems) from None
    if document is None:
        empty = "the document is empty; to remove all site data write `destinations: []` and `rules: []`."
        raise SiteRefused([Problem("", empty)])
    try:
        return check_site(document, pipelines, broken, tls_identities, known=known)
    except SiteRefused as error:
        found = [replace(problem, line=_line_of(problem.path, lines)) for problem in error.problems]
        raise SiteRefused(sorted(found, key=lambda problem: problem.line or 0)) from None


def check_site(
    document: object,
    pipelines: PipelineParams,
    broken: Mapping[str, str] | None = None,
    tls_identities: Collection[str] = (),
    *,
    known: Collection[Site] = (),
) -> Site:
    """As `read_site`, from the plain document (a form or the API gives JSON). Raises SiteRefused, without lines."""
    names = _names(document, "destinations")
    destinations = frozenset(name for name in names if isinstance(name, str))
    words = _Words(destinations, tls_identities, pipelines, broken or {})
    try:
        return Site.model_validate(document, context=words)
    except ValidationError as error:
        # The twice-given names are looked for once more: with other problems the models never get that far.
        twice = [*repeated("destinations", names), *repeated("rules", _names(document, "rules"))]
        found = [*problems_of(error, SITE_KEYS), *(replace(problem, path=path) for path, problem in twice)]
        left = [problem for problem in dict.fromkeys(found) if not stands(document, problem.path, known)]
    if left:
        raise SiteRefused(left)
    try:
        return Site.model_validate(document)  # all that needs words was asked above; now what asks of whole entries
    except ValidationError as error:
        raise SiteRefused(problems_of(error, SITE_KEYS)) from None


def dump_site(site: Site) -> str:
    """The site as YAML: `read_site` gives an equal one back, and dumping that gives the same text."""
    return yaml_text.dump(site.to_document())


def complete_params(model: type[BaseModel], params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with every default filled in, as plain JSON values: the form that recipes hold.

    Raises pydantic's ValidationError where they do not fit.
    """
    return model.model_validate(dict(params)).model_dump(mode="json")


def _names(document: object, section: str) -> list[object]:
    entries = document.get(section) if isinstance(document, dict) else None
    if not isinstance(entries, list | tuple):
        return []
    return [entry.get("name") if isinstance(entry, dict) else None for entry in entries]


def _line_of(path: str, lines: Mapping[str, int]) -> int | None:
    """The line of the nearest place above that stands in the document."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)
