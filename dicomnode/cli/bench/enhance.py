"""`bench enhance`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless
from rich.console import Console
from rich.progress import Progress

from dicomnode.app import load_registry
from dicomnode.cli.common import PIPED_WIDTH, ConfigOption, JsonOption, fail, print_json, settings_of
from dicomnode.enhance.errors import EnhanceError


class Stored(StrEnum):
    """How the made series lies in the store."""

    NATIVE = "native"
    RLE = "rle"
    JPEG_LS = "jpeg-ls"


_SYNTAXES = {Stored.NATIVE: ExplicitVRLittleEndian, Stored.RLE: RLELossless, Stored.JPEG_LS: JPEGLSLossless}


def enhance(
    pipeline: Annotated[str, typer.Option(help="Name of the pipeline.")] = "ct-denoise",
    slices: Annotated[int, typer.Option(min=4, help="Slices of the series; at most so many of --data.")] = 40,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Rows and columns of the made slices.")] = 512,
    stored: Annotated[Stored, typer.Option(help="How the made slices are stored.")] = Stored.NATIVE,
    data: Annotated[Path | None, typer.Option(help="Folder of DICOM files to use instead of made ones.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of everything, in turns.")] = 3,
    device: Annotated[str, typer.Option(help="cpu, cuda:0, ... or auto.")] = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Slices per second of the bare network, of the pipeline with its guards, and from store to derived files."""
    if data is not None and not data.is_dir():
        fail(f"there is no folder {data}")
    settings = settings_of(config)
    # Imported here: torch is most of a second, and no other command needs it.
    from dicomnode.cli.bench import series
    from dicomnode.cli.bench.run import Bench
    from dicomnode.cli.bench.telling import tell
    from dicomnode.complete.facts import instance_facts
    from dicomnode.enhance.runner import Engine

    try:
        registry = load_registry(settings)
        engine = Engine(registry, device, instance_facts=instance_facts)
        loaded = engine.prepare(pipeline)
        measured = series.read(data, slices) if data else series.made(slices, size, _SYNTAXES[stored])
        bench = Bench(settings, registry, engine, loaded, measured)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("warming up", total=bench.steps(repeats))
            bench.run(repeats, lambda what: progress.update(task, advance=1, description=what))
    except EnhanceError as error:
        fail(str(error))
    document = bench.document(repeats)
    if as_json:
        print_json(document)
    else:
        console = Console()
        tell(document, console if console.is_terminal else Console(width=PIPED_WIDTH))
