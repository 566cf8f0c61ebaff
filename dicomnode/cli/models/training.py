"""One training run, step by step: read, copy, train, write the model, delete the copies."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from dicomnode.cli.common import fail
from dicomnode.cli.models.candidates import Found, files_of, read_candidates
from dicomnode.cli.models.copies import Index, NoCopies, private, read_index, write_copies
from dicomnode.cli.models.judging import Judged, judge, tried
from dicomnode.cli.models.naming import Naming
from dicomnode.cli.models.site_model import write_model
from dicomnode.cli.models.survey import survey
from dicomnode.cli.models.telling import Telling
from dicomnode.cli.models.trainer import run_module
from dicomnode.cli.models.unspoken import unspoken
from dicomnode.cli.models.work import WorkFolder
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.registry import Entry


@dataclass(frozen=True)
class Wanted:
    """What one run is asked for. `trainer` is the pipeline whose trainer runs; `steps` are options of its own."""

    entry: Entry
    trainer: str
    data: Path
    naming: Naming
    licence: str
    slices: int
    from_scratch: bool
    keep_copies: bool
    steps: Mapping[str, Any]


def check(wanted: Wanted, telling: Telling) -> dict[str, Any]:
    """What would be used and what not; reads everything, decodes a slice of each volume, writes nothing."""
    with unspoken(), Decoder() as decoder:
        found, judged = _read(wanted, decoder, telling.quiet)
        document = survey(found, tried(judged))
    telling.survey(document)
    return document


def train(wanted: Wanted, folder: WorkFolder, telling: Telling) -> dict[str, Any]:
    """A whole run, or the rest of a killed one. Raises CommandFailed, KeyboardInterrupt."""
    with private(), folder:
        index = _copies(wanted, folder, telling)
        telling.split(index)
        start = None if wanted.from_scratch else wanted.entry.weights
        arguments = {"pipeline": wanted.trainer, "copies": folder.copies, "run": folder.run, "start": start}
        figures = run_module("gan.hospital", arguments | dict(wanted.steps), quiet=telling.quiet, lock=folder.lock)
        weights = write_model(wanted.entry, folder.run, folder.model, index, figures, wanted.naming, wanted.licence)
        if not wanted.keep_copies:
            folder.clear()
    telling.result(wanted.entry.name, wanted.naming.name, weights, figures, wanted.keep_copies)
    return {
        "name": wanted.naming.name,
        "weights": str(weights),
        "patients": len(index.patients),
        "held_out": len(index.held_out),
        "slices": sum(copy.slices for copy in index.copies),
        "figures": figures,
    }


def _read(wanted: Wanted, decoder: Decoder, quiet: bool) -> tuple[Found, Judged]:
    with _progress("reading headers", quiet) as report:
        found = read_candidates(wanted.data, wanted.entry, decoder, report)
    if not found.candidates:
        fail(f"there are no DICOM files in {wanted.data}")
    return found, judge(found, wanted.entry)


def _copies(wanted: Wanted, folder: WorkFolder, telling: Telling) -> Index:
    """The copies of an earlier, killed run, or new ones. They appear under their name only when all are written."""
    if folder.copies.is_dir():
        index = read_index(folder.copies)
        now = len(files_of(wanted.data))
        if now != index.files:
            fail(
                f"the copies in {folder.copies} were made of {index.files} files, and {wanted.data} holds {now}; "
                f"delete {folder.path} to begin anew, or name another folder with --work"
            )
        return index
    partial = folder.empty("copies.partial")
    with unspoken(), Decoder() as decoder:
        found, judged = _read(wanted, decoder, telling.quiet)
        if not judged.volumes:
            telling.survey(survey(found, judged))
            fail(f"nothing in {wanted.data} can be used; --check lists the reasons")
        with _progress("making de-identified copies", telling.quiet) as report:
            try:
                index = write_copies(judged.volumes, found.files, partial, wanted.slices, report)
            except NoCopies as error:
                fail(str(error))
    partial.rename(folder.copies)
    return index


@contextmanager
def _progress(doing: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
