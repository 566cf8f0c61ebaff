"""`send`: files to a destination, as they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.progress import Progress

from dicomnode.app import timeouts_of
from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, print_json, settings_of
from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed, Response
from dicomnode.deliver.scu import Outgoing, batches, open_association


def send(
    folder: Annotated[Path, typer.Argument(help="A DICOM file, or a folder of them; sub-folders too.")],
    to: Annotated[str, typer.Option("--to", help="Name of a destination, or HOST:PORT.")],
    called: Annotated[str, typer.Option(help="Called AE title, for HOST:PORT.")] = "ANY-SCP",
    calling: Annotated[str, typer.Option(help="Calling AE title; the node's own by default.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send DICOM files by C-STORE, byte for byte. Exit 1 unless every instance was stored."""
    settings = settings_of(config)
    destination = _address(to, called) or _named(config, to)
    outgoings = list(_outgoings(folder))
    if not outgoings:
        fail(f"there are no DICOM files in {folder}")
    refused: list[dict[str, str]] = []
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        task = progress.add_task(f"to {destination.name}", total=len(outgoings))
        try:
            for batch in batches(outgoings):
                timeouts = timeouts_of(settings)
                with open_association(
                    destination, calling or settings.dicom.ae_title, batch, timeouts=timeouts
                ) as session:
                    for outgoing in batch:
                        response: Response = session.send(outgoing)
                        if not response.stored:
                            refused.append({"sop_uid": outgoing.sop_instance_uid, "reason": response.detail})
                        if not session.is_open:
                            fail(f"{destination} ended the association: {response.detail}")
                        progress.advance(task)
        except AssociationFailed as failure:
            fail(f"cannot send to {destination}: {failure.reason}")
    if as_json:
        print_json({"sent": len(outgoings) - len(refused), "refused": refused})
    else:
        print(f"{len(outgoings) - len(refused)} of {len(outgoings)} instances stored by {destination}")
        for row in refused:
            print(f"  {row['sop_uid']}: {row['reason']}")
    if refused:
        raise typer.Exit(1)


def _address(to: str, called: str) -> Destination | None:
    host, colon, port = to.rpartition(":")
    if not colon:
        return None
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        fail(f"--to takes a destination's name or HOST:PORT, not {to!r}")
    return Destination(to, called, host, int(port))


def _named(config: Path | None, name: str) -> Destination:
    flow = flow_of(config)
    with flow.database.read() as session:
        found = flow.site.get(session)[1].destination(name)
    if found is None:
        fail(f"there is no destination {name!r}; --to takes a destination's name or HOST:PORT")
    return Destination.of(found, flow.settings.tls)


def _outgoings(folder: Path) -> Iterator[Outgoing]:
    files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    for path in (path for path in files if path.is_file()):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
            syntax = str(header.file_meta.TransferSyntaxUID)
            yield Outgoing(str(header.SOPClassUID), str(header.SOPInstanceUID), syntax, path.read_bytes)
        except (InvalidDicomError, AttributeError, OSError, EOFError):
            continue
