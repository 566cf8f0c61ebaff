"""Site data: destinations and rules, as an administrator writes them. One document is one immutable revision."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal, Protocol, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from dicomnode.domain.condition import OPERATORS, AttributeWords, FactCondition, When, condition_document, leaves
from dicomnode.domain.facts import COMPUTED_FACTS
from dicomnode.domain.problem import Problem, nearest, refusal
from dicomnode.domain.writer_profile import WriterProfile


class SiteWords(AttributeWords, Protocol):
    """What a validation context knows beyond a document's own shape."""

    @property
    def destinations(self) -> Collection[str]:
        """Every destination name of the document, also of destinations that have problems of their own."""

    @property
    def tls_identities(self) -> Collection[str]:
        """The names of this node's TLS identities."""

    def check_pipeline(self, pipeline: str) -> None:
        """Raise `problem.refusal(...)` if there is no such pipeline."""

    def check_params(self, pipeline: str, params: dict[str, Any]) -> None:
        """Raise `problem.refusal(...)` if the pipeline does not take these parameters."""


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _name(value: object) -> object:
    if not isinstance(value, str):
        raise refusal("must be text; put it in quotes.")
    if not value.strip() or value != value.strip() or len(value) > 64 or not value.isprintable():
        raise refusal("a name has 1 to 64 printable characters, without spaces at its ends.")
    return value


Name = Annotated[str, BeforeValidator(_name)]
Names = Annotated[tuple[Name, ...], Field(strict=False, max_length=100)]


_HOST = r"[^\s/@\[\].][^\s/@\[\]]{0,252}"


class Destination(_Entry):
    """Where series are sent: a DICOM node that takes C-STORE."""

    name: Name
    kind: Literal["dimse"]
    ae_title: str
    host: str
    port: int = Field(ge=1, le=65535)
    associations: int | None = Field(None, ge=1, le=32)
    """How many may be open to it at a time; without: as the node's setting `delivery.associations` says."""
    confirm: Literal["auto", "commitment", "query", "none"] = "auto"
    """How it is asked whether it keeps what it took. "auto": storage commitment, and C-FIND where it has none."""
    rejection_notes: bool = False
    """Whether it is told, by an IHE IOCM rejection note, that a derived series it has is outdated."""
    description: str = Field("", max_length=500)
    enabled: bool = True
    tls: Name | None = None
    """Which of the node's TLS identities (`[tls.NAME]` of its settings) it is reached with; without: in plain text."""
    server_name: str | None = None
    """What its certificate must be for, where that is not `host`."""

    @field_validator("name")
    @classmethod
    def _no_colon(cls, name: str) -> str:
        if ":" in name:
            raise refusal("the name of a destination has no colon: `send --to` reads HOST:PORT by it.")
        return name

    @field_validator("ae_title")
    @classmethod
    def _is_ae(cls, title: str) -> str:
        """PS3.5 6.2: 1 to 16 characters of the default repertoire, no backslash, no control character."""
        if not re.fullmatch(r"[ -\[\]-~]{1,16}", title) or title != title.strip():
            raise refusal("an AE title has 1 to 16 plain characters, no backslash and no spaces at its ends.")
        return title

    @field_validator("host")
    @classmethod
    def _is_host(cls, host: str) -> str:
        if not re.fullmatch(_HOST, host):
            raise refusal("must be a host name or an IP address, without port or spaces.")
        return host

    @field_validator("tls")
    @classmethod
    def _is_identity(cls, name: str | None, info: ValidationInfo) -> str | None:
        known = () if info.context is None or name is None else cast(SiteWords, info.context).tls_identities
        if info.context is not None and name is not None and name not in known:
            sentence = f"this node has no TLS identity {name!r}: add [tls.{name}] to its settings file first."
            raise refusal(sentence, nearest(name, known))
        return name

    @field_validator("server_name")
    @classmethod
    def _is_expected(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and not re.fullmatch(_HOST, name):
            raise refusal("must be a host name or an IP address, without port or spaces.")
        if name is not None and "tls" in info.data and info.data["tls"] is None:
            raise refusal("has no meaning without tls: there is no certificate to hold it against.")
        return name


class Enhancement(_Entry):
    """Which pipeline, with which parameters; what is not given takes the pipeline's default."""

    pipeline: Name
    params: dict[str, Any] = Field(default_factory=dict)

    @field_validator("pipeline")
    @classmethod
    def _exists(cls, pipeline: str, info: ValidationInfo) -> str:
        if info.context is not None:
            cast(SiteWords, info.context).check_pipeline(pipeline)
        return pipeline

    @field_validator("params")
    @classmethod
    def _taken(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if info.context is not None and "pipeline" in info.data:
            cast(SiteWords, info.context).check_params(info.data["pipeline"], params)
        return params


def _deadline(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10_080:
        raise refusal("must be a number of minutes above 0, at most 10080 (a week).")
    return value


class Rule(_Entry):
    """For series that fit `when`: what to enhance and where to send it.

    `shadow` runs last, measures and sends nothing. `forward_original_to` acts on each instance as it arrives,
    so its rule's condition may use only what an instance knows of itself.
    """

    name: Name
    state: Literal["draft", "shadow", "live"]
    when: When
    enhance: Enhancement | None = None
    deliver_to: Names = Field((), validate_default=True)
    forward_original_to: Names = Field((), validate_default=True)
    priority: Literal["stat", "normal", "off-peak"] = "normal"
    deadline_minutes: Annotated[int | float, BeforeValidator(_deadline)] | None = None
    on_overload: Literal["wait", "originals"] = "wait"
    """When there is more work than can be done in time: wait for it, or leave it at the originals."""
    writer: WriterProfile = WriterProfile()

    @field_validator("deliver_to")
    @classmethod
    def _delivers(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        parts = _unknown_here(names, info)
        if info.data.get("state") == "live" and "enhance" in info.data:
            if info.data["enhance"] is not None and not names:
                parts.append(("", Problem("", "a live rule that enhances must deliver somewhere: name a destination.")))
            if info.data["enhance"] is None and names:
                sentence = "this rule enhances nothing that could be delivered; originals go by forward_original_to."
                parts.append(("", Problem("", sentence)))
        return _unless(parts, names)

    @field_validator("forward_original_to")
    @classmethod
    def _forwards(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        parts = _unknown_here(names, info)
        for test in leaves(info.data["when"]) if names and "when" in info.data else ():
            if isinstance(test, FactCondition) and not COMPUTED_FACTS[test.fact].on_arrival:
                sentence = (
                    f"originals are forwarded one by one as they arrive, when {test.fact} of the series is not yet "
                    "known; forward them by a rule of their own that tests only what one instance can tell."
                )
                parts.append(("", Problem("", sentence)))
        return _unless(parts, names)

    @model_validator(mode="after")
    def _does_something(self) -> "Rule":
        if self.state == "live" and self.enhance is None and not self.forward_original_to:
            raise refusal("a live rule enhances a series or forwards its originals; this one does neither.")
        return self

    def to_document(self) -> dict[str, Any]:
        """The plain document of this rule, without what equals a default; `when` as an administrator writes it."""
        document = self.model_dump(mode="json", exclude_defaults=True)
        return {key: condition_document(self.when) if key == "when" else value for key, value in document.items()}


class Site(_Entry):
    """All destinations and rules of one revision. Raises pydantic's ValidationError; see `problem.problems_of`."""

    destinations: Annotated[tuple[Destination, ...], Field(strict=False, max_length=500)] = ()
    rules: Annotated[tuple[Rule, ...], Field(strict=False, max_length=500)] = ()

    @model_validator(mode="after")
    def _names(self) -> "Site":
        names = [destination.name for destination in self.destinations]
        parts = [*repeated("destinations", names), *repeated("rules", [rule.name for rule in self.rules])]
        for number, rule in enumerate(self.rules):
            for field in ("deliver_to", "forward_original_to"):
                unknown = _unknown(getattr(rule, field), names)
                parts += [(f"rules[{number}].{field}{path}", problem) for path, problem in unknown]
        if parts:
            raise refusal("", parts=parts)
        return self

    def destination(self, name: str) -> Destination | None:
        """The destination of that name, if there is one."""
        return next((destination for destination in self.destinations if destination.name == name), None)

    def to_document(self) -> dict[str, Any]:
        """The plain document (JSON and YAML alike) that `Site.model_validate` reads back."""
        return {
            "destinations": [destination.model_dump(exclude_defaults=True) for destination in self.destinations],
            "rules": [rule.to_document() for rule in self.rules],
        }


def repeated(section: str, names: Sequence[object]) -> list[tuple[str, Problem]]:
    """Names given twice in `section`, without regard to case, as (path, problem)."""
    first: dict[str, int] = {}
    found: list[tuple[str, Problem]] = []
    for number, name in enumerate(names):
        if isinstance(name, str) and first.setdefault(name.casefold(), number) != number:
            where = f"{section}[{first[name.casefold()]}]"
            found.append((f"{section}[{number}].name", Problem("", f"the name {name!r} is taken by {where}.")))
    return found


def _unknown(names: Sequence[str], known: Collection[str]) -> list[tuple[str, Problem]]:
    return [
        (f"[{number}]", Problem("", f"there is no destination {name!r}.", nearest(name, known)))
        for number, name in enumerate(names)
        if name not in known
    ]


def _unknown_here(names: Sequence[str], info: ValidationInfo) -> list[tuple[str, Problem]]:
    return [] if info.context is None else _unknown(names, cast(SiteWords, info.context).destinations)


def _unless(parts: list[tuple[str, Problem]], names: tuple[str, ...]) -> tuple[str, ...]:
    if parts:
        raise refusal("", parts=parts)
    return names


def _keys() -> Iterator[str]:
    for model in (Site, Destination, Rule, Enhancement, WriterProfile):
        yield from model.model_fields
    yield from OPERATORS
    yield from ("all", "any", "not", "attribute", "fact", "private_creator", "every")


SITE_KEYS: frozenset[str] = frozenset(_keys())
"""Every name a site document may use as a key: offered where an unknown one stands."""
