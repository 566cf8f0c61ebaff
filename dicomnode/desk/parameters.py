"""What can be set of a pipeline: a JSON schema, read for people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dicomnode.enhance.registry import Entry

_LOW = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("minLength", "at least, in characters,"))
_HIGH = (("maximum", "at most"), ("exclusiveMaximum", "below"), ("maxLength", "at most, in characters,"))


@dataclass(frozen=True)
class Parameter:
    """One parameter: what kind of value, from where to where, and what holds where nobody sets it."""

    name: str
    kind: str
    allowed: str
    default: str
    description: str


def parameters_of(entry: Entry) -> list[Parameter]:
    """In the order of the pipeline's `Params`; none where those are no such model."""
    if entry.pipeline is None or not entry.usable:
        return []
    return list(parameters(entry.pipeline.Params.model_json_schema()))


def parameters(schema: Mapping[str, Any]) -> Iterator[Parameter]:
    """The properties of an object's schema (JSON Schema 2020-12, as pydantic writes it)."""
    needed = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        of = _resolved(described, schema.get("$defs", {}))
        default = "must be set" if name in needed else str(described.get("default", ""))
        yield Parameter(name, _kind(of), _allowed(of), default, str(of.get("description", "")))


def _resolved(described: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """With what it refers to, and of a choice the parts that are not null, put together."""
    whole = dict(described)
    parts = [described, *described.get("allOf", ()), *described.get("anyOf", ())]
    for part in parts:
        if "$ref" in part:
            whole = {**definitions.get(str(part["$ref"]).rpartition("/")[2], {}), **whole}
        elif part is not described and part.get("type") != "null":
            whole = {**part, **whole}
    return whole


def _kind(of: Mapping[str, Any]) -> str:
    words = {
        "number": "number",
        "integer": "whole number",
        "boolean": "yes or no",
        "string": "text",
        "array": "list",
        "object": "table",
    }
    return words.get(str(of.get("type", "")), str(of.get("type", "")))


def _allowed(of: Mapping[str, Any]) -> str:
    if "const" in of:
        return str(of["const"])
    if "enum" in of:
        return ", ".join(map(str, of["enum"]))
    bounds = [f"{words} {of[key]:g}" for key, words in (*_LOW, *_HIGH) if isinstance(of.get(key), int | float)]
    return ", ".join(bounds)
