"""`models train`: weights for this site, from its own images, on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, fail, print_json, settings_of
from dicomnode.cli.models import training
from dicomnode.cli.models.naming import Naming
from dicomnode.cli.models.telling import Telling
from dicomnode.cli.models.trainer import trainable
from dicomnode.cli.models.work import WorkFolder
from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.registry import Entry, Registry
from dicomnode.enhance.weights import verify
from dicomnode.settings import Settings

LICENCE = "for use at the site that trained it"
_Steps = Annotated[int | None, typer.Option(min=1, help="Instead of the trainer's own number.", show_default=False)]


def train(
    pipeline: Annotated[str, typer.Option(help="Whose weights are trained on; see `pipelines list`.")],
    data: Annotated[Path, typer.Option(help="Folder of this site's DICOM files; sub-folders too.")],
    check: Annotated[bool, typer.Option("--check", help="Say what would be used and what not, and stop.")] = False,
    work: Annotated[Path | None, typer.Option(help="Folder of the run; training/NAME if left out.")] = None,
    name: Annotated[str, typer.Option(help="Of the new model; PIPELINE-site if left out.")] = "",
    version: Annotated[str, typer.Option(help="Of the new model.")] = "1.0",
    licence: Annotated[str, typer.Option(help="Who may use it; goes into its card.")] = LICENCE,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Begin at nothing, not at its weights.")] = False,
    slices: Annotated[int, typer.Option(min=8, help="At most so many, the same number of each patient.")] = 600,
    pixel_steps: _Steps = None,
    adversarial_steps: _Steps = None,
    device: Annotated[str, typer.Option(help="cpu, cuda:0, ... or auto.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Of a CPU.")] = 1,
    keep_copies: Annotated[bool, typer.Option("--keep-copies", help="Do not delete the copies at the end.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a pipeline further on this site's own images. Nothing leaves this machine; a killed run goes on.

    DICOM is read here and copied as bare arrays with no identifying element; the trainer sees those alone, and they are
    deleted when it is done. The new weights never go over those that are in use: `models import` puts them beside.
    """
    if not data.is_dir():
        fail(f"there is no folder {data}")
    entry = _entry(settings_of(config), pipeline)
    naming = Naming(name or f"{pipeline}-site", version)
    if naming.name == pipeline:
        fail(f"{pipeline} is the name of the pipeline itself; give the new model another --name")
    steps = {"pixel_steps": pixel_steps, "adversarial_steps": adversarial_steps, "device": device, "threads": threads}
    wanted = training.Wanted(entry, trainable(entry), data, naming, licence, slices, from_scratch, keep_copies, steps)
    telling = Telling(quiet=as_json)
    try:
        if check:
            document = training.check(wanted, telling)
        else:
            document = training.train(wanted, WorkFolder(work or Path("training") / naming.name), telling)
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on where it stopped")
    if as_json:
        print_json(document)
    if check and not document["volumes"]:
        raise typer.Exit(1)


def _entry(settings: Settings, pipeline: str) -> Entry:
    """The pipeline, if it can be trained: usable, with weights that are those of their card."""
    try:
        entry = Registry.load([settings.pipelines.path]).usable(pipeline)
        verify(entry)
    except EnhanceError as error:
        fail(str(error))
    if entry.card is None:
        fail(f"pipeline {pipeline} has no weights, so there is nothing to train")
    return entry
