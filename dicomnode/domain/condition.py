"""Conditions of rules: a typed tree, never code. What each operator means is in `docs/howto/rules.md`."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Protocol, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dicomnode.domain.facts import COMPUTED_FACTS, Scalar
from dicomnode.domain.problem import nearest, refusal

Operator = Literal[
    "equals", "not_equals", "in", "contains", "starts_with", "ends_with", "lt", "le", "gt", "ge", "between", "exists"
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
MAX_DEPTH = 16
MAX_CONDITIONS = 500
MAX_TEXT = 1024
MAX_NUMBER = 10**15
"""Beyond it a float no longer tells neighbouring integers apart."""

Expected = Scalar | tuple[Scalar, ...]


class AttributeWords(Protocol):
    """What a validation context may bring along to check attribute names against the DICOM dictionary."""

    def check_attribute(self, attribute: str, private_creator: str | None) -> None:
        """Raise `problem.refusal(...)` if there is no such element or it holds no value a rule can read."""


def _scalar(value: object) -> object:
    if isinstance(value, str):
        if not value.strip():
            raise refusal("must not be empty; for a missing value write exists: false.")
        if len(value) > MAX_TEXT:
            raise refusal(f"must not be longer than {MAX_TEXT} characters.")
    elif not isinstance(value, bool | int | float):
        raise refusal("must be one text, number, or true or false; several values go into `in`.")
    elif not abs(value) <= MAX_NUMBER:
        raise refusal("is not a number a rule can compare; put an identifier in quotes.")
    return value


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise refusal("must be text; put it in quotes.")
    return _scalar(value)


def _ordered(value: object) -> object:
    if isinstance(value, bool):
        raise refusal("must be a number or a text that has an order.")
    return _scalar(value)


Value = Annotated[Scalar, BeforeValidator(_scalar)]
Text = Annotated[str, BeforeValidator(_text)]
Ordered = Annotated[str | int | float, BeforeValidator(_ordered)]


class _Node(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class _Test(_Node):
    """Exactly one operator and what it is held against."""

    equals: Value | None = None
    not_equals: Value | None = None
    in_: Annotated[tuple[Value, ...] | None, Field(strict=False, min_length=1, max_length=1000, alias="in")] = None
    contains: Text | None = None
    starts_with: Text | None = None
    ends_with: Text | None = None
    lt: Ordered | None = None
    le: Ordered | None = None
    gt: Ordered | None = None
    ge: Ordered | None = None
    between: Annotated[tuple[Ordered, Ordered] | None, Field(strict=False)] = None
    exists: bool | None = None

    @property
    def operator(self) -> Operator:
        """The one operator that was given."""
        return next(name for name in OPERATORS if self._given(name) is not None)

    @property
    def expected(self) -> Expected:
        """The right-hand side: a tuple for `in` and `between`, else one value."""
        return cast(Expected, self._given(self.operator))

    def _given(self, name: Operator) -> Expected | None:
        return cast(Expected | None, getattr(self, "in_" if name == "in" else name))

    @field_validator("between")
    @classmethod
    def _ascending(cls, value: tuple[str | int | float, str | int | float] | None) -> tuple[Scalar, Scalar] | None:
        low, high = value or (0, 0)
        if isinstance(low, str) != isinstance(high, str) or low > high:  # type: ignore[operator]
            raise refusal("between is [lowest, highest], both numbers or both texts.")
        return value

    @model_validator(mode="after")
    def _one_operator(self) -> "_Test":
        given = [name for name in OPERATORS if self._given(name) is not None]
        if len(given) != 1:
            found = f"this one has {len(given)} ({', '.join(given)})" if given else "this one has none"
            raise refusal(f"a condition has exactly one of the operators {', '.join(OPERATORS)}; {found}.")
        return self


class AttributeCondition(_Test):
    """A test on a DICOM element of the series' instances.

    `attribute` is a keyword, `gggg,eeee`, or a dotted path of these through sequences. An odd group needs
    `private_creator`; the block (the `10` of `0019,100C`) does not matter.
    """

    private_creator: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    attribute: Annotated[str, Field(min_length=1, max_length=512)]
    every: bool = False

    @field_validator("attribute")
    @classmethod
    def _known(cls, attribute: str, info: ValidationInfo) -> str:
        words = cast(AttributeWords | None, info.context)
        if words is not None and "private_creator" in info.data:
            words.check_attribute(attribute, info.data["private_creator"])
        return attribute


class FactCondition(_Test):
    """A test on a computed fact (`domain.facts.COMPUTED_FACTS`)."""

    fact: str

    @field_validator("fact")
    @classmethod
    def _known(cls, fact: str) -> str:
        if fact not in COMPUTED_FACTS:
            raise refusal(f"{fact!r} is not a computed fact.", nearest(fact, COMPUTED_FACTS))
        return fact

    @model_validator(mode="after")
    def _comparable(self) -> "FactCondition":
        kind = COMPUTED_FACTS[self.fact].kind
        values = self.expected if isinstance(self.expected, tuple) else (self.expected,)
        if self.operator != "exists" and not all(_is_kind(value, kind) for value in values):
            raise refusal(f"{self.fact} is a {kind}; compare it with a {kind}.")
        return self


def _is_kind(value: Scalar, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "truth value"
    return kind == ("text" if isinstance(value, str) else "number")


class AllOf(_Node):
    """True if every one is; of none at all it is true, so `all: []` matches every series."""

    all: Annotated[tuple["Condition", ...], Field(strict=False)]


class AnyOf(_Node):
    """True if at least one is."""

    any: Annotated[tuple["Condition", ...], Field(strict=False, min_length=1)]


class Not(_Node):
    """True if the condition is false, also where it is false because the attribute is absent."""

    not_: Annotated["Condition", Field(alias="not")]


_KINDS: dict[str, type[_Node]] = {
    "all": AllOf,
    "any": AnyOf,
    "not": Not,
    "attribute": AttributeCondition,
    "fact": FactCondition,
}


def _kind(value: object) -> str:
    keys = value if isinstance(value, dict) else ()
    found = [name for name, kind in _KINDS.items() if name in keys or isinstance(value, kind)]
    return f"({found[0]})" if found else ""


def _shape(value: object) -> object:
    """Refuse what is no condition before the union does, in words."""
    if isinstance(value, BaseModel):
        return value
    if not isinstance(value, dict):
        raise refusal("a condition is a mapping with one of all, any, not, attribute or fact.")
    keys = [str(key) for key in value]
    kinds = [key for key in keys if key in _KINDS]
    if len(kinds) != 1:
        found = f"this one has {' and '.join(kinds)}" if kinds else f"this one has {', '.join(keys) or 'nothing'}"
        near = next(filter(None, (nearest(key, _KINDS, 1) for key in keys if not kinds)), ())
        raise refusal(f"a condition has exactly one of all, any, not, attribute or fact; {found}.", near)
    return value


Condition = Annotated[
    Annotated[AllOf, Tag("(all)")]
    | Annotated[AnyOf, Tag("(any)")]
    | Annotated[Not, Tag("(not)")]
    | Annotated[AttributeCondition, Tag("(attribute)")]
    | Annotated[FactCondition, Tag("(fact)")],
    Discriminator(_kind),
    BeforeValidator(_shape),
]
for _model in (AllOf, AnyOf, Not):
    _model.model_rebuild()


def _bounded(value: object) -> object:
    """Refuse a bomb before anything recurses into it: depth and number of conditions, counted without recursion."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH):
        count += len(level)
        if count > MAX_CONDITIONS:
            raise refusal(f"a rule has at most {MAX_CONDITIONS} conditions.")
        level = [child for node in level for child in _raw_children(node)]
        if not level:
            return value
    raise refusal(f"conditions are nested at most {MAX_DEPTH} deep.")


def _raw_children(node: object) -> Iterator[object]:
    if isinstance(node, BaseModel):
        node = dict(node)
    for name, child in node.items() if isinstance(node, dict) else ():
        if name in ("not", "not_"):
            yield child
        elif name in ("all", "any") and isinstance(child, list | tuple):
            yield from child


When = Annotated[Condition, BeforeValidator(_bounded)]
"""A whole condition tree, its depth and size checked first."""

_WHEN: TypeAdapter[Condition] = TypeAdapter(When)


def parse_condition(document: object, words: AttributeWords | None = None) -> Condition:
    """The condition of a plain document (as YAML or JSON give it). Raises pydantic's ValidationError."""
    return _WHEN.validate_python(document, context=words)


def condition_document(condition: Condition) -> dict[str, Any]:
    """The plain document of a condition, as an administrator writes it: `parse_condition` reads it back."""
    match condition:
        case AllOf(all=children):
            return {"all": [condition_document(child) for child in children]}
        case AnyOf(any=children):
            return {"any": [condition_document(child) for child in children]}
        case Not(not_=child):
            return {"not": condition_document(child)}
        case AttributeCondition(attribute=attribute, private_creator=creator, every=every):
            subject = {"attribute": attribute, **({"private_creator": creator} if creator else {})}
            return {**subject, **_test_document(condition), **({"every": True} if every else {})}
        case FactCondition(fact=fact):
            return {"fact": fact, **_test_document(condition)}


def _test_document(test: _Test) -> dict[str, Any]:
    return {test.operator: list(test.expected) if isinstance(test.expected, tuple) else test.expected}


def leaves(condition: Condition) -> Iterator[AttributeCondition | FactCondition]:
    """Every test of the tree, in the order of writing."""
    match condition:
        case AllOf(all=children) | AnyOf(any=children):
            for child in children:
                yield from leaves(child)
        case Not(not_=child):
            yield from leaves(child)
        case AttributeCondition() | FactCondition():
            yield condition
