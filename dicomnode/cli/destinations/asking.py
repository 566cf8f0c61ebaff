"""`destinations echo|probe`."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomnode.app import timeouts_of
from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, print_json, print_table
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed
from dicomnode.deliver.probe import ALL_CLASSES, USUAL_CLASSES, name_of
from dicomnode.deliver.probe import probe as ask_what_it_takes
from dicomnode.deliver.scu import echo as c_echo

NameArgument = Annotated[str, typer.Argument(help="Name of a destination.")]


def echo(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """C-ECHO: does the destination answer?"""
    destination, calling_aet, timeouts = _peer(config, name)
    started = time.monotonic()
    try:
        status = c_echo(destination, calling_aet, timeouts=timeouts)
    except AssociationFailed as failure:
        fail(f"{destination} does not answer: {failure.reason}")
    milliseconds = round((time.monotonic() - started) * 1000)
    if status != 0:
        fail(f"{destination} answers C-ECHO with {status:04X}")
    if as_json:
        print_json({"name": name, "ok": True, "milliseconds": milliseconds})
    else:
        print(f"{destination} answers ({milliseconds} ms)")


def probe(
    name: NameArgument,
    config: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every storage class, not the usual ones alone.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What does the destination take? SOP classes and transfer syntaxes, asked without sending anything."""
    destination, calling_aet, timeouts = _peer(config, name)
    classes = ALL_CLASSES if everything else USUAL_CLASSES
    try:
        taken = ask_what_it_takes(destination, calling_aet, classes, timeouts=timeouts)
    except AssociationFailed as failure:
        fail(f"{destination} cannot be asked: {failure.reason}")
    rows: list[dict[str, Any]] = [
        {"sop_class": name_of(uid), "uid": uid, "transfer_syntaxes": [name_of(each) for each in syntaxes]}
        for uid, syntaxes in taken.classes.items()
    ]
    if as_json:
        print_json({"name": name, "services": taken.services, "classes": rows})
        return
    for service, offered in taken.services.items():
        print(f"{service}: {'yes' if offered else 'no'}")
    for row in rows:
        row["transfer_syntaxes"] = ", ".join(row["transfer_syntaxes"]) or "none: it refuses the class"
    print_table(rows, False, "", ("sop_class", "transfer_syntaxes"))


def _peer(config: Path | None, name: str) -> tuple[Destination, str, Timeouts]:
    """The destination of that name, as whom it is asked, and how long it may take."""
    flow = flow_of(config)
    with flow.database.read() as session:
        found = flow.site.get(session)[1].destination(name)
    if found is None:
        fail(f"there is no destination {name!r}")
    return Destination.of(found, flow.settings.tls), flow.settings.dicom.ae_title, timeouts_of(flow.settings)
