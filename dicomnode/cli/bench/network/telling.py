"""The figures of `bench receive` and `bench deliver` for people: tables on a console, or the same in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

Document = Mapping[str, Any]

_FIGURES = {
    "per_second": "instances/s",
    "p50_ms": "ms each",
    "cpu_s_per_1000": "CPU s per 1000",
    "receiver_mib": "MiB",
}


@dataclass(frozen=True)
class Table:
    """A heading, the columns, and rows of cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def tell(document: Document, console: Console) -> None:
    """What was measured, on what, and what of the goals was reached."""
    for line in about(document):
        console.print(line, markup=False, highlight=False)
    for table in tables(document):
        shown = RichTable(
            *table.columns, title=table.title, box=None, header_style="bold", pad_edge=False, title_justify="left"
        )
        for row in table.rows:
            shown.add_row(*row)
        console.print()
        console.print(shown)


def markdown(document: Document) -> str:
    """The same as a page's part: figures are pasted, never typed."""
    parts = [" ".join(f"{line}." for line in about(document))]
    for table in tables(document):
        lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        parts.append(f"**{table.title}**\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def about(document: Document) -> Iterator[str]:
    """Sentences without their full stops."""
    machine, versions = document["machine"], document["versions"]
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield (
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']:g} GiB, {machine['system']}, "
        f"Python {machine['python']}, load {machine['load_average']} at the start"
    )
    yield f"{names}; everything on one {document['file_system']} file system"
    if document["in_memory"]:
        yield "THAT IS MEMORY, NOT A DISK: a data sync costs nothing there, and none of this is durable"
    sizes = (f"{kind['modality']} of {kind['bytes'] / 1e6:.3g} MB" for kind in document["data"])
    yield f"Instances: {', '.join(sizes)}"
    yield f"Medians of {document['repeats']} rounds in turns, lowest to highest in brackets"
    if document["absent"]:
        yield f"Not installed, and so not measured: {', '.join(document['absent'])}"


def tables(document: Document) -> Iterator[Table]:
    """A table of figures and one of goals; without rows they are left out."""
    names = {each["key"]: each["title"] for each in (*document["rows"], *document["peers"])}
    for table in (_figures(document, names), _goals(document, names)):
        if table.rows:
            yield table


def _figures(document: Document, names: Mapping[str, str]) -> Table:
    shown = [name for name in _FIGURES if any(_spread(each.get(name)) for each in document["figures"])]
    theirs = list(dict.fromkeys(each["to"] for each in document["ratios"]))
    ratios = {(each["row"], each["peer"], each["to"]): each["ratio"]["median"] for each in document["ratios"]}
    rows = []
    for each in document["figures"]:
        cells = [names[each["row"]], names[each["peer"]], *(_spread(each.get(name)) for name in shown)]
        found = (ratios.get((each["row"], each["peer"], to)) for to in theirs)
        rows.append([*cells, *("" if ratio is None else f"{ratio:.2f}" for ratio in found)])
    columns = ("what", "who", *(_FIGURES[name] for name in shown), *(f"x {names[to]}" for to in theirs))
    return Table("Measured; ratios are of instances/s, each taken within a round", columns, rows)


def _goals(document: Document, names: Mapping[str, str]) -> Table:
    rows = []
    for each in document["goals"]:
        to = f" {names[each['to']]}" if each["to"] else ""
        goal = f"{_FIGURES[each['figure']]} {each['goal']}{to}"
        found = _spread(each["found"], " x" if each["to"] else "")
        cells = (names[each["row"]], goal, names[each["peer"]], found, "reached" if each["reached"] else "NOT REACHED")
        rows.append(cells)
    return Table("What is to be reached", ("what", "goal", "of", "found", ""), rows)


def _spread(spread: Mapping[str, float] | None, unit: str = "") -> str:
    if spread is None or not spread["highest"]:
        return ""
    median = f"{_number(spread['median'])}{unit}"
    if spread["lowest"] == spread["highest"]:
        return median
    return f"{median} ({_number(spread['lowest'])} to {_number(spread['highest'])})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
