"""YAML as administrators expect it: no surprises of YAML 1.1, no bombs, a line number for every place.

Text stays text: `no`, `on`, `2024-01-31`, `12:30`, `1_000`, `0x1F`, and numbers with a leading zero such as `00123`
are not turned into truth values, dates or other numbers. Anchors, aliases and tags are refused, and so is a name
that is given twice in one mapping.
"""

import re
from typing import Any

import yaml

from dicomnode.domain.problem import Problem, path_text

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_NESTING = 64

_PLAIN = {
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "tag:yaml.org,2002:int": (r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:0|[1-9][0-9]{0,17})?(?:\.[0-9]{1,30}(?:[eE][-+]?[0-9]{1,3})?|[eE][-+]?[0-9]{1,3}|(?<=[0-9])\.)",
        "-+.0123456789",
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))
    _Dumper.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))


class YamlRefused(ValueError):
    """The text is no document we read; `problems` says why."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def load(text: str) -> tuple[Any, dict[str, int]]:
    """The document and the line (from 1) of every path in it. Raises YamlRefused."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise YamlRefused([Problem("", f"the document is larger than {MAX_BYTES >> 20} MiB.")])
    try:
        _check_events(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}
            lines: dict[str, int] = {}
            repeated = _walk(node, (), lines)
            if repeated:
                raise YamlRefused(repeated)
            return loader.construct_document(node), lines
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise YamlRefused([_syntax(error)]) from None
    except (ValueError, TypeError, OverflowError) as error:
        if isinstance(error, YamlRefused):
            raise
        raise YamlRefused([Problem("", f"the document holds a value that cannot be read: {error}.")]) from None


def dump(document: Any) -> str:
    """`document` as YAML that `load` reads back to an equal one."""
    return str(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
    )


def _check_events(text: str) -> None:
    """Before anything is built: nesting and size (the composer recurses), aliases, anchors, tags."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlRefused([Problem("", "anchors (&) and aliases (*) are not used here.", line=line)])
        if getattr(event, "tag", None):
            raise YamlRefused([Problem("", "tags (!) are not used here.", line=line)])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_NESTING:
            raise YamlRefused([Problem("", f"the document is nested more than {MAX_NESTING} deep.", line=line)])
        if nodes > MAX_NODES:
            raise YamlRefused([Problem("", f"the document has more than {MAX_NODES} entries.", line=line)])


def _walk(node: yaml.Node, path: tuple[str | int, ...], lines: dict[str, int]) -> list[Problem]:
    """Note the line of every path; give back the names that stand twice in one mapping."""
    lines.setdefault(path_text(path), node.start_mark.line + 1)
    problems: list[Problem] = []
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            problems += _walk(item, (*path, number), lines)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                problems.append(Problem(path_text((*path, name)), "this name is given twice.", line=line))
            seen.add(name)
            lines.setdefault(path_text((*path, name)), line)
            problems += _walk(value, (*path, name), lines)
    return problems


def _syntax(error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return Problem("", f"this is not YAML: {error.problem}.", line=error.problem_mark.line + 1)
    return Problem("", f"this is not YAML: {str(error).splitlines()[0]}.")
