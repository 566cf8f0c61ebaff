"""`bench latency`."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from dicomnode.cli.bench.network.options import AllowTmpfs, CtSize, Folder, Markdown, Page, Repeats, measuring
from dicomnode.cli.common import PIPED_WIDTH, JsonOption, fail, print_json

if TYPE_CHECKING:
    from dicomnode.cli.bench.latency_rows import Row

_GRACE_SECONDS = 1.0
_GOAL_SECONDS = 2.0 + _GRACE_SECONDS


def latency(
    slices: Annotated[int, typer.Option(min=4, help="CT slices of a series.")] = 400,
    denoise: Annotated[int, typer.Option(min=0, help="Slices of the series for `ct-denoise`; 0: none.")] = 60,
    pace: Annotated[float, typer.Option(min=0, help="Slices/s at which those are sent; 0: as fast as they go.")] = 20,
    ct_size: CtSize = 512,
    associations: Annotated[str, typer.Option(help="Numbers of associations into the PACS alone.")] = "1,2,4",
    to_pacs: Annotated[int, typer.Option(min=1, max=32, help="Associations to the PACS of one more node.")] = 1,
    slow_router: Annotated[bool, typer.Option(help="Once: Orthanc as the router with its default StableAge.")] = True,
    ways: Annotated[str, typer.Option(help="Keys of the ways to measure, with commas; all by default.")] = "",
    repeats: Repeats = 5,
    directory: Folder = None,
    allow_tmpfs: AllowTmpfs = False,
    as_markdown: Markdown = False,
    page: Page = None,
    as_json: JsonOption = False,
) -> None:
    """From the last slice received to the last derived instance in the PACS, beside Orthanc as a router.

    Makes its own data, starts the PACS (Orthanc, Debian's storage defaults), routers and nodes on loopback and on one
    file system, measures them in turns and removes everything again.
    """
    # Imported here: what measures is needed by no other command.
    from dicomnode.cli.bench.latency_peers import Node, Pacs, Router
    from dicomnode.cli.bench.latency_rows import CHOSEN, DENOISE, PASSTHROUGH, WITH, WITHOUT, rows
    from dicomnode.cli.bench.latency_run import LatencyBench
    from dicomnode.cli.bench.latency_series import Slices
    from dicomnode.cli.bench.network import orthanc
    from dicomnode.cli.bench.network.disk import working_folder
    from dicomnode.cli.bench.network.options import surroundings
    from dicomnode.cli.bench.network.page import parts
    from dicomnode.cli.bench.network.peer import Peer

    if page is not None:
        parts(page, "latency")  # a page without a place for the tables is better refused before the minutes than after
    if orthanc.version() is None:
        fail(f"this needs a PACS: Orthanc, as {orthanc.PROGRAM} (Debian's package orthanc)")
    wanted = _chosen(rows(slices, denoise, pace, _numbers(associations), to_pacs, slow_router), ways)
    pipelines = sorted({row.pipeline for row in wanted})

    def peers(pacs: Pacs) -> Sequence[Peer]:
        return [
            *(Router(1, pacs), Router(60, pacs)),
            Node(WITH, pacs, pipelines, engine="head_start = true"),
            Node(WITHOUT, pacs, pipelines, engine="head_start = false"),
            Node(CHOSEN, pacs, pipelines, engine="head_start = true", delivery=f"associations = {to_pacs}"),
        ]

    with working_folder(directory, allow_tmpfs) as (folder, file_system):
        around = surroundings("latency", file_system, repeats, [])
        counts = {PASSTHROUGH: slices, DENOISE: denoise}
        series = {name: Slices.made(counts[name], ct_size, name) for name in pipelines}
        bench = LatencyBench(folder, wanted, series, peers)
        with measuring(bench.steps(repeats), "starting") as told:
            bench.run(repeats, told)
    document = {
        **around,
        "size": ct_size,
        "grace_seconds": _GRACE_SECONDS,
        "rows": [vars(row) for row in wanted],
        "runs": [run.to_json() for run in bench.runs],
    }
    document["goals"] = list(_goals(document))
    _print(document, as_json, as_markdown, page)


def _chosen(rows: Sequence["Row"], keys: str) -> Sequence["Row"]:
    if unknown := set(filter(None, keys.split(","))) - {row.key for row in rows}:
        fail(f"there is no way {', '.join(sorted(unknown))}: the ways are {', '.join(row.key for row in rows)}")
    return [row for row in rows if not keys or row.key in keys.split(",")]


def _numbers(text: str) -> Sequence[int]:
    if not all(part.strip().isdigit() and 0 < int(part) <= 32 for part in text.split(",")):
        fail(f"--associations takes numbers such as 1,2,4, not {text}")
    return [int(part) for part in text.split(",")]


def _goals(document: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Two seconds beyond the grace, for the node with its pixels unchanged."""
    from dicomnode.cli.bench.latency_rows import PASSTHROUGH

    found = []
    for row in document["rows"]:
        took = [run["last"] for run in document["runs"] if run["row"] == row["key"] and run["complete"] is not None]
        if took and row["pipeline"] == PASSTHROUGH:
            middle = statistics.median(took)
            reached = middle <= _GOAL_SECONDS
            found.append({"title": row["title"], "bound": _GOAL_SECONDS, "found": middle, "reached": reached})
    return found


def _print(document: Mapping[str, Any], as_json: bool, as_markdown: bool, page: Path | None) -> None:
    from dicomnode.cli.bench.latency_telling import markdown, tell
    from dicomnode.cli.bench.network.page import write

    if page is not None:
        write(page, document["bench"], markdown(document))
    if as_json:
        print_json(document)
    elif as_markdown:
        print(markdown(document))
    else:
        tell(document, Console(width=None if sys.stdout.isatty() else PIPED_WIDTH))
