"""The figures of `bench latency` for people: tables on a console, or the same in Markdown."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from dicomnode.cli.bench.latency_rows import PACS
from dicomnode.cli.bench.network.telling import Table

_STAGES = ("indexed", "complete", "claimed", "committed", "first", "last")
_NAMES = ("last response", *_STAGES[:-2], "first in the PACS", "last in the PACS")


def tell(document: Mapping[str, Any], console: Console) -> None:
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


def markdown(document: Mapping[str, Any]) -> str:
    """The same as a page's part: figures are pasted, never typed."""
    parts = [" ".join(f"{line}." for line in about(document))]
    for table in tables(document):
        lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        parts.append(f"**{table.title}**\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def about(document: Mapping[str, Any]) -> Iterator[str]:
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
    yield (
        f"CT of {document['size']} x {document['size']} pixels of 16 bits, grace_seconds {document['grace_seconds']:g}"
    )
    yield f"Medians of {document['repeats']} rounds in turns, lowest to highest in brackets; seconds"


def tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """The ways side by side, the stages of the node's, and the goal."""
    yield _ways(document)
    yield _stages(document)
    if document["goals"]:
        rows = [
            (each["title"], f"<= {each['bound']:g} s", f"{each['found']:.2f} s", _word(each["reached"]))
            for each in document["goals"]
        ]
        yield Table("What is to be reached", ("way", "goal", "found", ""), rows)


def _ways(document: Mapping[str, Any]) -> Table:
    rows = []
    for row in document["rows"]:
        runs = _runs(document, row["key"])
        if runs:
            counted = "" if row["peer"] == PACS else _spread([run["last"] for run in runs])
            sent = _spread([run["sent"] for run in runs])
            rows.append((row["title"], str(row["slices"]), sent, counted, _cpu(runs)))
    columns = ("way", "slices", "first byte to last response", "last response to last in the PACS", "CPU s")
    return Table("A series to the PACS", columns, rows)


def _stages(document: Mapping[str, Any]) -> Table:
    rows = []
    for row in document["rows"]:
        runs = [run for run in _runs(document, row["key"]) if run["complete"] is not None]
        if runs:
            cells = (f"{statistics.median(run[name] for run in runs):.2f}" for name in _STAGES)
            rows.append((row["title"], "0", *cells))
    return Table("The node's stages: median seconds since the last response", ("way", *_NAMES), rows)


def _runs(document: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    return [run for run in document["runs"] if run["row"] == key]


def _cpu(runs: Sequence[Mapping[str, Any]]) -> str:
    return f"{statistics.median(run['cpu_s'] for run in runs):.2f}"


def _spread(values: Sequence[float]) -> str:
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} to {max(values):.2f})"


def _word(reached: bool) -> str:
    return "reached" if reached else "NOT REACHED"
