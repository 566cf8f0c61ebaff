"""Parameters as a form made from their JSON schema, and what the form has no field for as YAML beside it."""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from dicomnode.desk.rules.validation import can_be_kept
from dicomnode.route import yaml_text
from dicomnode.web.pages.rules.form import values
from dicomnode.web.pages.rules.form.fields import Fields, one

Kind = Literal["number", "integer", "boolean", "choice", "text", "lines"]
Schema = Mapping[str, Any]
_DEEPEST = 4


@dataclass(frozen=True)
class Widget:
    """One parameter's field. Empty means that it is not given: then the default holds."""

    path: tuple[str, ...]
    kind: Kind
    label: str
    help: str = ""
    default: str = ""
    """As people read it."""
    lowest: float | int | None = None
    highest: float | int | None = None
    choices: tuple[str, ...] = ()

    @property
    def inner(self) -> bool:
        """Whether it lies within another parameter, `top`."""
        return len(self.path) > 1

    @property
    def top(self) -> str:
        return self.path[0]

    def name(self, prefix: str) -> str:
        """Of the field."""
        return ".".join((prefix, *self.path))

    def read(self, text: str) -> Any:
        """The value of a text that is not empty. Raises `values.Unreadable`."""
        match self.kind:
            case "number" | "integer":
                return values.number(text)
            case "boolean":
                return values.read(text, "truth value", "truth value")
            case "lines":
                return [line.strip() for line in text.splitlines() if line.strip()]
            case _:
                return text

    def write(self, value: Any) -> str | None:
        """The text that reads back as exactly this value; None where no text does."""
        text = "\n".join(map(str, value)) if isinstance(value, list) else _text(value)
        lines = text.split("\n") if self.kind == "lines" else [text]
        try:
            again = self.read(text) if text.strip() and all(map(str.isprintable, lines)) else None
        except values.Unreadable:
            return None
        return text if _same(again, value) else None


def widgets(schema: Schema) -> list[Widget]:
    """Those of an object's properties, nested ones too, in the schema's order."""
    return list(_widgets(schema, schema, (), {}))


def _widgets(root: Schema, schema: Schema, path: tuple[str, ...], defaults: Mapping[str, Any]) -> Iterator[Widget]:
    for name, declared in schema.get("properties", {}).items():
        each = _resolved(root, declared)
        default = defaults.get(name, each.get("default"))
        if each.get("type") == "object" and len(path) < _DEEPEST:
            inner = {**each, "properties": {**_named(each), **each.get("properties", {})}}
            yield from _widgets(root, inner, (*path, name), default if isinstance(default, dict) else {})
        elif (kind := _kind(each)) is not None:
            yield Widget(
                (*path, name),
                kind,
                " ".join((*path[1:], name)).replace("_", " "),
                each.get("description", ""),
                "" if default is None or default == [] else _text(default),
                each.get("minimum", each.get("exclusiveMinimum")),
                each.get("maximum", each.get("exclusiveMaximum")),
                tuple(each.get("enum", ())),
            )


def _named(schema: Schema) -> dict[str, Any]:
    """A mapping with a closed list of names is an object with these properties."""
    known, value = schema.get("propertyNames", {}).get("enum", ()), schema.get("additionalProperties")
    return dict.fromkeys(known, value) if isinstance(value, dict) else {}


def _resolved(root: Schema, schema: Schema) -> dict[str, Any]:
    """Without references, and without the `or null` of an optional parameter."""
    merged = dict(schema)
    for _ in range(_DEEPEST):
        options = [each for each in merged.get("anyOf", ()) if each.get("type") != "null"]
        followed = merged.pop("$ref", "") or (merged.pop("allOf", [{}])[0].get("$ref", "") if "allOf" in merged else "")
        if len(options) == 1 and merged.pop("anyOf"):
            merged = {**options[0], **merged}
        elif followed:
            merged = {**root.get("$defs", {}).get(followed.rpartition("/")[2], {}), **merged}
    return merged


def _kind(schema: Schema) -> Kind | None:
    match schema:
        case {"enum": [*names]} if all(isinstance(name, str) for name in names):
            return "choice"
        case {"type": "number"}:
            return "number"
        case {"type": "integer"}:
            return "integer"
        case {"type": "boolean"}:
            return "boolean"
        case {"type": "string"}:
            return "text"
        case {"type": "array", "items": {"type": "string"}}:
            return "lines"
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def texts_of(params: Mapping[str, Any], shown: list[Widget], prefix: str) -> dict[str, list[str]]:
    """The fields of these parameters; under `prefix` itself, as YAML, what no widget can say."""
    left, texts = deepcopy(dict(params)), {}
    for widget in shown:
        value = _get(params, widget.path)
        text = None if value is None else widget.write(value)
        if text is not None:
            texts[widget.name(prefix)] = [text]
            _drop(left, widget.path)
    return {**texts, prefix: [yaml_text.dump(left) if left else ""]}


def params_of(fields: Fields, shown: list[Widget], prefix: str, tell: Callable[[str, str], None]) -> dict[str, Any]:
    """The parameters of the fields. `tell(field, sentence)` hears of each that cannot be read."""
    params = _others(fields, prefix, tell)
    for widget in shown:
        text = one(fields, widget.name(prefix)).replace("\r\n", "\n")
        if text.strip():
            try:
                _set(params, widget.path, widget.read(text))
            except values.Unreadable as error:
                tell(widget.name(prefix), str(error))
                _set(params, widget.path, text)
    return params


def _others(fields: Fields, prefix: str, tell: Callable[[str, str], None]) -> dict[str, Any]:
    try:
        document, _ = yaml_text.load(one(fields, prefix))
    except yaml_text.YamlRefused as error:
        tell(prefix, str(error))
        return {}
    if document is not None and not (isinstance(document, dict) and can_be_kept(document)):
        tell(prefix, "write one parameter on each line, as `name: value`.")
        return {}
    return document or {}


def _get(params: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        params = params.get(step) if isinstance(params, dict) else None
    return params


def _set(params: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        below = params.setdefault(step, {})
        if not isinstance(below, dict):
            return
        params = below
    params[path[-1]] = value


def _drop(params: dict[str, Any], path: tuple[str, ...]) -> None:
    """Also what becomes empty by it, up to the top."""
    if len(path) > 1:
        _drop(params[path[0]], path[1:])
    if len(path) == 1 or not params[path[0]]:
        del params[path[0]]
