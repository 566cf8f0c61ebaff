"""The figures of `bench enhance` for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_COLUMNS = ("batch", "lanes", "threads", "precision")


def tell(document: Mapping[str, Any], console: Console) -> None:
    """What was measured, on what, and what of what: tables and one line for each ratio."""
    for line in _about(document):
        console.print(line, markup=False, highlight=False)
    console.print()
    console.print(_table("", ("stage", *_COLUMNS), document["stages"]))
    console.print()
    for line in _ratios(document):
        console.print(line, markup=False, highlight=False)
    console.print()
    fastest = sorted(document["bare"]["table"], key=lambda row: -row["slices_per_second"])
    console.print(_table("The bare network, fastest first", _COLUMNS, fastest))


def _about(document: Mapping[str, Any]) -> Iterator[str]:
    machine, pipeline, series = document["machine"], document["pipeline"], document["series"]
    yield (
        f"{pipeline['name']} {pipeline['version']} on {machine['device']} ({machine['device_name']}), "
        f"{machine['torch_threads']} threads of {machine['cores']} cores, load {machine['load_average']}"
    )
    yield (
        f"{series['slices']} slices of {series['rows']} x {series['columns']}, verdict {series['verdict'] or 'none'}, "
        f"median of {document['repeats']} runs in turns, at most {document['peak_memory_mib']} MiB of memory"
    )
    yield f"dicomnode {machine['dicomnode']}, torch {machine['torch']}, Python {machine['python']}, {machine['system']}"


def _ratios(document: Mapping[str, Any]) -> Iterator[str]:
    ratios, best = document["ratios"], document["bare"]["best"]
    yield f"pipeline in memory: {ratios['pipeline_of_bare']:.0%} of the bare network run the same way"
    yield f"store to derived:   {ratios['store_to_derived_of_bare']:.0%} of the bare network run the same way"
    yield (
        f"pipeline in memory: {ratios['pipeline_of_best_bare']:.0%} of the fastest bare network "
        f"(batch {best['batch']}, lanes x threads {best['lanes']} x {best['threads']}, {best['precision']})"
    )
    for row in ratios["pipeline_of_bare_by_placement"][1:]:
        yield f"with lanes x threads {row['lanes']} x {row['threads']}: {row['ratio']:.0%} of the bare network run so"


def _table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    names = (*columns, "slices/s", "slowest", "fastest", "CPU ms/slice")
    table = Table(*names, title=title or None, box=None, header_style="bold", pad_edge=False, title_justify="left")
    for row in rows:
        speeds = (row["slices_per_second"], row["slowest"], row["fastest"])
        cells = [*(str(row[name]) for name in columns), *(f"{speed:.2f}" for speed in speeds)]
        table.add_row(*cells, f"{row['cpu_ms_per_slice']:.0f}")
    return table
