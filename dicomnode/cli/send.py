"""`send`: files to a destination, as the node itself sends."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dicomnode.app import timeouts_of
from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, print_json, settings_of
from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed, Response
from dicomnode.deliver.outgoing import Outgoing
from dicomnode.deliver.parallel import store
from dicomnode.enhance.decode import Decoder
from dicomnode.flow.delivering.transcoding import transcoder
from dicomnode.settings import Settings


def send(
    folder: Annotated[Path, typer.Argument(help="A DICOM file, or a folder of them; sub-folders too.")],
    to: Annotated[str, typer.Option("--to", help="Name of a destination, or HOST:PORT.")],
    called: Annotated[str, typer.Option(help="Called AE title, for HOST:PORT.")] = "ANY-SCP",
    calling: Annotated[str, typer.Option(help="Calling AE title; the node's own by default.")] = "",
    associations: Annotated[
        int | None, typer.Option(min=1, max=32, help="At a time; as the settings say by default.")
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Never transcode: what is refused as it is, is refused.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send DICOM files by C-STORE. Exit 1 unless every instance was stored.

    Byte for byte; uncompressed only where the destination refuses an instance's own transfer syntax.
    """
    settings = settings_of(config)
    destination = _address(to, called, associations or settings.delivery.associations) or _named(
        config, to, associations
    )
    outgoings = list(_outgoings(folder))
    if not outgoings:
        fail(f"there are no DICOM files in {folder}")
    began = time.monotonic()
    sending = _Sending(as_json, destination.name, len(outgoings))
    try:
        sending.run(destination, calling or settings.dicom.ae_title, outgoings, settings, as_is=as_is)
    except AssociationFailed as failure:
        fail(f"cannot send to {destination}: {failure.reason}")
    sending.tell(destination, time.monotonic() - began, as_json)
    if sending.refused:
        raise typer.Exit(1)


class _Sending:
    """What `send` shows while it sends, and tells at the end."""

    def __init__(self, quiet: bool, name: str, total: int) -> None:
        self.refused: list[dict[str, str]] = []
        self.transcoded: Counter[str] = Counter()
        self.total = total
        self._began = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), disable=quiet)
        self._task = self._progress.add_task(f"to {name}", total=total, rate="")

    def run(
        self, destination: Destination, calling: str, outgoings: list[Outgoing], settings: Settings, *, as_is: bool
    ) -> None:
        with self._progress, Decoder() as decoder:
            store(
                destination,
                calling,
                outgoings,
                answered=self._answered,
                timeouts=timeouts_of(settings),
                transcode=None if as_is else transcoder(decoder),
            )

    def tell(self, destination: Destination, seconds: float, as_json: bool) -> None:
        sent = self.total - len(self.refused)
        transcoded = dict(sorted(self.transcoded.items()))
        if as_json:
            document = {"sent": sent, "refused": self.refused, "transcoded": transcoded, "seconds": round(seconds, 3)}
            print_json(document)
            return
        print(f"{sent} of {self.total} instances stored by {destination} in {seconds:.1f} s")
        for what, count in transcoded.items():
            print(f"  {count} transcoded {what}")
        for row in self.refused:
            print(f"  {row['sop_uid']}: {row['reason']}")

    def _answered(self, outgoing: Outgoing, response: Response) -> None:
        if not response.stored:
            self.refused.append({"sop_uid": outgoing.sop_instance_uid, "reason": response.detail})
        if response.stored and response.transcoded:
            self.transcoded[response.transcoded] += 1
        done = int(self._progress.tasks[self._task].completed) + 1
        rate = done / max(time.monotonic() - self._began, 1e-3)
        self._progress.update(self._task, advance=1, rate=f"{rate:.0f}/s")


def _address(to: str, called: str, associations: int) -> Destination | None:
    host, colon, port = to.rpartition(":")
    if not colon:
        return None
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        fail(f"--to takes a destination's name or HOST:PORT, not {to!r}")
    return Destination(to, called, host, int(port), associations=associations)


def _named(config: Path | None, name: str, associations: int | None) -> Destination:
    flow = flow_of(config)
    with flow.database.read() as session:
        found = flow.site.get(session)[1].destination(name)
    if found is None:
        fail(f"there is no destination {name!r}; --to takes a destination's name or HOST:PORT")
    made = Destination.of(found, flow.settings.tls, flow.settings.delivery.associations)
    return made if associations is None else replace(made, associations=associations)


def _outgoings(folder: Path) -> Iterator[Outgoing]:
    files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    for path in (path for path in files if path.is_file()):
        try:
            yield Outgoing.from_file(path)
        except (InvalidDicomError, AttributeError, OSError, EOFError):
            continue
