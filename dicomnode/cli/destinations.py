"""`destinations list|echo`."""

import time
from typing import Annotated

import typer

from dicomnode.app import timeouts_of
from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, print_json, print_table
from dicomnode.db.repositories import deliveries
from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed
from dicomnode.deliver.scu import echo as c_echo

app = typer.Typer(help="Where series are sent.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The destinations in force, with their deliveries by state."""
    flow = flow_of(config)
    with flow.database.read() as session:
        _, site = flow.site.get(session)
        counts = deliveries.counts_by_state(session)
    rows = [
        {
            "name": each.name,
            "ae_title": each.ae_title,
            "host": each.host,
            "port": each.port,
            "tls": each.tls,
            "enabled": each.enabled,
            "deliveries": {state: count for (name, state), count in counts.items() if name == each.name},
        }
        for each in site.destinations
    ]
    print_table(rows, as_json, "there are no destinations: `dicomnode site import FILE.yaml` brings some")


@app.command("echo")
def echo(
    name: Annotated[str, typer.Argument(help="Name of a destination.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """C-ECHO: does the destination answer?"""
    flow = flow_of(config)
    with flow.database.read() as session:
        found = flow.site.get(session)[1].destination(name)
    if found is None:
        fail(f"there is no destination {name!r}")
    destination = Destination.of(found, flow.settings.tls)
    started = time.monotonic()
    try:
        status = c_echo(destination, flow.settings.dicom.ae_title, timeouts=timeouts_of(flow.settings))
    except AssociationFailed as failure:
        fail(f"{destination} does not answer: {failure.reason}")
    milliseconds = round((time.monotonic() - started) * 1000)
    if status != 0:
        fail(f"{destination} answers C-ECHO with {status:04X}")
    if as_json:
        print_json({"name": name, "ok": True, "milliseconds": milliseconds})
    else:
        print(f"{destination} answers ({milliseconds} ms)")
