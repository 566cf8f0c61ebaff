"""The condition of a rule as rows and groups of rows, with what was typed into each field, right or wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dicomnode.domain.condition import MAX_CONDITIONS, MAX_DEPTH, OPERATORS
from dicomnode.web.pages.rules.form.fields import Fields, one
from dicomnode.web.pages.rules.form.subjects import ABSENT, TEXTUAL, Kind, is_fact, kind_of
from dicomnode.web.pages.rules.form.values import WAYS, As, Unreadable, read, write

GROUPS = {"all": "all of these", "any": "at least one of these", "not": "none of these"}


@dataclass(frozen=True)
class Row:
    """One test. `operator` is one of `domain.condition.OPERATORS`, or `absent` for `exists: false`."""

    subject: str = ""
    operator: str = "equals"
    values: tuple[str, ...] = ()
    way: As = "auto"
    every: bool = False
    creator: str = ""

    @property
    def kind(self) -> Kind:
        """Of the values it is compared with."""
        return "text" if self.operator in TEXTUAL and not is_fact(self.subject) else kind_of(self.subject)

    @property
    def shown(self) -> tuple[str, ...]:
        """A text for each field that the operator needs; `in` has an empty one to go on in."""
        match self.operator:
            case "exists" | "absent":
                return ()
            case "in":
                return (*self.values, "")
            case "between":
                return (*self.values, "", "")[:2]
            case _:
                return (*self.values, "")[:1]


@dataclass(frozen=True)
class Group:
    """Several conditions; `not` with more than one below means that none of them may be true."""

    kind: str = "all"
    children: tuple["Node", ...] = ()


Node = Row | Group


@dataclass
class Written:
    """The document of a condition; where each of its places stands in the form, and what could not be read."""

    document: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """Path in the document, such as `when.all[0].not`, to the prefix of the fields, such as `when.0.0`."""
    problems: dict[str, str] = field(default_factory=dict)
    """Name of a field to a sentence."""


def read_node(fields: Fields, prefix: str) -> Node:
    """The tree below `prefix`; what is nested or repeated beyond any valid rule is left out."""
    indexes: dict[str, set[int]] = {}
    for name in fields:
        parent, _, index = name.rpartition(".")[0].rpartition(".")
        if index.isascii() and index.isdigit() and len(index) < 5:
            indexes.setdefault(parent, set()).add(int(index))
    return _read(fields, prefix, indexes, MAX_DEPTH + 2)


def _read(fields: Fields, prefix: str, indexes: Mapping[str, set[int]], depth: int) -> Node:
    kind = one(fields, f"{prefix}.kind")
    if kind in GROUPS:
        below = sorted(indexes.get(prefix, ()))[: MAX_CONDITIONS + 1] if depth else []
        return Group(kind, tuple(_read(fields, f"{prefix}.{index}", indexes, depth - 1) for index in below))
    operator, way = one(fields, f"{prefix}.operator", "equals"), one(fields, f"{prefix}.as")
    return Row(
        one(fields, f"{prefix}.attribute").strip(),
        operator if operator in (*OPERATORS, ABSENT) else "equals",
        tuple(fields.get(f"{prefix}.value", ())),
        next((each for each in WAYS if each == way), "auto"),
        bool(one(fields, f"{prefix}.every")),
        one(fields, f"{prefix}.creator"),
    )


def fields_of(node: Node, prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every field with its values: what a browser sends of the form that shows this tree."""
    if isinstance(node, Group):
        yield f"{prefix}.kind", (node.kind,)
        for index, child in enumerate(node.children):
            yield from fields_of(child, f"{prefix}.{index}")
        return
    yield f"{prefix}.attribute", (node.subject,)
    yield f"{prefix}.operator", (node.operator,)
    if node.shown:
        yield f"{prefix}.value", node.shown
    yield f"{prefix}.as", (node.way,)
    yield f"{prefix}.creator", (node.creator,)
    if node.every:
        yield f"{prefix}.every", ("on",)


def node_of(document: Mapping[str, Any]) -> Node:
    """The rows and groups of a valid condition's plain document."""
    for kind in ("all", "any"):
        if kind in document:
            return Group(kind, tuple(map(node_of, document[kind])))
    if "not" in document:
        child = document["not"]
        # {not: {any: [a]}} is a group in a group: with one below, "none of" would read back as {not: a}.
        flat = len(child.get("any", ())) > 1
        return Group("not", tuple(map(node_of, child["any"])) if flat else (node_of(child),))
    operator = next(name for name in OPERATORS if document.get(name) is not None)
    subject, expected = document.get("fact") or document["attribute"], document[operator]
    row = Row(subject, operator, every=document.get("every", False), creator=document.get("private_creator") or "")
    if operator == "exists":
        return Row(subject, "exists" if expected else ABSENT, every=row.every, creator=row.creator)
    way, texts = write(expected if isinstance(expected, list | tuple) else [expected], row.kind)
    return Row(subject, operator, texts, way, row.every, row.creator)


def write_node(node: Node, prefix: str, path: str = "when") -> Written:
    """The plain document of the tree, also of one that is not finished: whoever checks it says what is missing."""
    written = Written()
    written.document = _write(node, prefix, path, written)
    return written


def _write(node: Node, prefix: str, path: str, written: Written) -> dict[str, Any]:
    written.places[path] = prefix
    if isinstance(node, Row):
        return _row_document(node, prefix, written)
    if node.kind == "not" and len(node.children) == 1:
        return {"not": _write(node.children[0], f"{prefix}.0", f"{path}.not", written)}
    kind, stem = ("any", f"{path}.not") if node.kind == "not" else (node.kind, path)
    if not node.children and node.kind != "all":
        written.problems[f"{prefix}.kind"] = "this group is empty: add a condition to it, or remove it."
    written.places[stem] = prefix
    children = [
        _write(child, f"{prefix}.{index}", f"{stem}.{kind}[{index}]", written)
        for index, child in enumerate(node.children)
    ]
    return {"not": {"any": children}} if node.kind == "not" else {node.kind: children}


def _row_document(row: Row, prefix: str, written: Written) -> dict[str, Any]:
    fact = is_fact(row.subject)
    if not row.subject:
        written.problems[f"{prefix}.attribute"] = "choose an attribute or a fact."
    document: dict[str, Any] = {"fact" if fact else "attribute": row.subject}
    if row.creator and not fact:
        document["private_creator"] = row.creator
    document["exists" if row.operator == ABSENT else row.operator] = _expected(row, prefix, written)
    if row.every and not fact:
        document["every"] = True
    return document


def _expected(row: Row, prefix: str, written: Written) -> Any:
    if row.operator in ("exists", ABSENT):
        return row.operator == "exists"
    texts: Sequence[str] = row.shown
    if row.operator == "in":
        texts = [text for text in texts if text.strip()]
    found: list[Any] = []
    for text in texts:
        try:
            found.append(read(text, row.way, row.kind))
        except Unreadable as error:
            written.problems.setdefault(f"{prefix}.value", str(error) if text.strip() else "this is still empty.")
            found.append(text)
    return found if row.operator in ("in", "between") else found[0]
