"""What the commands `bench receive` and `bench deliver` share: options, surroundings, and printing."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from dicomnode.cli.bench.machine import machine
from dicomnode.cli.common import PIPED_WIDTH, fail, print_json

Ct = Annotated[int, typer.Option(min=0, help="CT instances of a run; 0 leaves them out.")]
Mr = Annotated[int, typer.Option(min=0, help="MR instances of a run; 0 leaves them out.")]
CtSize = Annotated[int, typer.Option(min=16, help="Rows and columns of a CT, 16 bits each.")]
MrSize = Annotated[int, typer.Option(min=16, help="Rows and columns of an MR.")]
Parallel = Annotated[int, typer.Option(min=2, max=32, help="Associations of the rows with several.")]
Repeats = Annotated[int, typer.Option(min=1, help="Rounds; in each everything is measured once.")]
Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder on the disk to measure on; TMPDIR or the current one by default."),
]
AllowTmpfs = Annotated[bool, typer.Option("--allow-tmpfs", help="Measure in memory, where nothing is durable.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the tables in Markdown.")]
Page = Annotated[
    Path | None,
    typer.Option(
        "--page", help="Write the tables into this Markdown page too, between its marks.", exists=True, dir_okay=False
    ),
]


def surroundings(bench: str, file_system: str, repeats: int, absent: Sequence[str]) -> dict[str, Any]:
    """What figures mean nothing without; asked for before anything is measured."""
    from dicomnode.cli.bench.network import dcmtk, orthanc
    from dicomnode.cli.bench.network.disk import in_memory

    described = machine()
    versions = {"dicomnode": described["dicomnode"], "DCMTK": dcmtk.version("storescp"), "Orthanc": orthanc.version()}
    return {
        "bench": bench,
        "machine": described,
        "versions": {name: version for name, version in versions.items() if version},
        "file_system": file_system,
        "in_memory": in_memory(file_system),
        "absent": list(absent),
        "repeats": repeats,
    }


@contextmanager
def measuring(steps: int, first: str) -> Iterator[Callable[[str], None]]:
    """Progress on standard error; call what it gives with what is measured next.

    SIGTERM and SIGHUP end it as Ctrl-C does: everything that was started is stopped first. Raises CommandFailed then.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, _interrupt)
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(first, total=steps)
            yield lambda what: progress.update(task, advance=1, description=what)
    except KeyboardInterrupt:
        fail("interrupted; all that it had started is stopped")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def print_document(document: Mapping[str, Any], as_json: bool, as_markdown: bool, page: Path | None) -> None:
    """JSON, Markdown, or tables for people; and into a page, where one is named."""
    from dicomnode.cli.bench.network.page import write
    from dicomnode.cli.bench.network.telling import markdown, tell

    if page is not None:
        write(page, document["bench"], markdown(document))
    if as_json:
        print_json(document)
    elif as_markdown:
        print(markdown(document))
    else:
        console = Console()
        tell(document, console if sys.stdout.isatty() else Console(width=PIPED_WIDTH))
