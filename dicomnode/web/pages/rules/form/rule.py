"""A whole rule as fields, and the document of the fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dicomnode.domain.writer_profile import WriterProfile
from dicomnode.web.pages.rules.form import nodes, schema, values
from dicomnode.web.pages.rules.form.edits import ROOT
from dicomnode.web.pages.rules.form.fields import Fields, one
from dicomnode.web.pages.rules.form.schema import Schema, Widget

PIPELINE, PARAMS, WRITER = "pipeline", "params", "writer"
_PLAIN = ("name", "state", "priority", "deadline_minutes", "on_overload")
_LISTS = ("deliver_to", "forward_original_to")
_DEFAULTS = {"state": "draft", "priority": "normal", "on_overload": "wait"}

WRITER_WIDGETS: Sequence[Widget] = schema.widgets(WriterProfile.model_json_schema())


@dataclass
class Result:
    """The plain document of a form, and what could not be read: a sentence for each field's name."""

    document: dict[str, Any]
    problems: dict[str, str]
    places: dict[str, str]

    def field_of(self, path: str) -> str:
        """The field that shows `path` of the document, such as `when.all[0].attribute`."""
        head, _, last = path.rpartition(".")
        if path in self.places:
            return f"{self.places[path]}.kind"
        if head in self.places:
            return f"{self.places[head]}.{_FIELD_OF_KEY.get(last.partition('[')[0], 'value')}"
        for stem, name in (("enhance.params", PARAMS), ("enhance.pipeline", PIPELINE), ("writer", WRITER)):
            if path == stem or path.startswith(f"{stem}."):
                return path.replace(stem, name, 1)
        return path.partition("[")[0]


_FIELD_OF_KEY = {"attribute": "attribute", "fact": "attribute", "private_creator": "creator", "every": "every"}


@dataclass
class RuleForm:
    """The form's state: the condition as rows and groups, all other fields as they were typed."""

    when: nodes.Node = field(default_factory=lambda: nodes.Group("all", (nodes.Row(),)))
    texts: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Fields) -> "RuleForm":
        """From what a browser sent."""
        rest = {name: list(sent) for name, sent in fields.items() if name.partition(".")[0] != ROOT}
        return cls(nodes.read_node(fields, ROOT), rest)

    @classmethod
    def of(cls, document: Mapping[str, Any], schemas: Mapping[str, Schema]) -> "RuleForm":
        """Of a valid rule's plain document; `schemas` are those of the parameters, by pipeline."""
        texts = {name: [_plain_text(document[name])] for name in _PLAIN if document.get(name) is not None}
        texts |= {name: list(document[name]) for name in _LISTS if document.get(name)}
        if enhance := document.get("enhance"):
            texts[PIPELINE] = [enhance["pipeline"]]
            shown = widgets_of(enhance["pipeline"], schemas)
            texts |= schema.texts_of(enhance.get("params") or {}, shown, PARAMS)
        texts |= schema.texts_of(document.get("writer") or {}, list(WRITER_WIDGETS), WRITER)
        return cls(nodes.node_of(document["when"]), texts)

    def fields(self) -> dict[str, list[str]]:
        """What a browser sends of the page that shows this form, untouched."""
        return {**self.texts, **{name: list(sent) for name, sent in nodes.fields_of(self.when, ROOT)}}

    def text(self, name: str) -> str:
        """What stands in a field."""
        return one(self.texts, name, _DEFAULTS.get(name, ""))

    def chosen(self, name: str) -> list[str]:
        """What is ticked of a list."""
        return self.texts.get(name, [])

    def result(self, schemas: Mapping[str, Schema]) -> Result:
        """The document, finished or not; `desk.rules` says what is wrong with it beyond what is unreadable here."""
        when = nodes.write_node(self.when, ROOT)
        document: dict[str, Any] = {"name": self.text("name"), "state": self.text("state"), "when": when.document}
        if self.text(PIPELINE):
            shown = widgets_of(self.text(PIPELINE), schemas)
            params = schema.params_of(self.texts, shown, PARAMS, when.problems.__setitem__)
            document["enhance"] = {"pipeline": self.text(PIPELINE), **({"params": params} if params else {})}
        document |= {name: self.chosen(name) for name in _LISTS if self.chosen(name)}
        document |= {
            name: self.text(name) for name in ("priority", "on_overload") if self.text(name) != _DEFAULTS[name]
        }
        if self.text("deadline_minutes").strip():
            document["deadline_minutes"] = self._minutes(when.problems)
        writer = schema.params_of(self.texts, list(WRITER_WIDGETS), WRITER, when.problems.__setitem__)
        return Result({**document, **({"writer": writer} if writer else {})}, when.problems, when.places)

    def _minutes(self, problems: dict[str, str]) -> Any:
        try:
            return values.number(self.text("deadline_minutes"))
        except values.Unreadable as error:
            problems["deadline_minutes"] = str(error)
            return self.text("deadline_minutes")


def widgets_of(pipeline: str, schemas: Mapping[str, Schema]) -> list[Widget]:
    """The fields of a pipeline's parameters; none of one that this node does not have: then they are YAML."""
    return schema.widgets(schemas[pipeline]) if pipeline in schemas else []


def _plain_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
