"""`destinations pause|resume`."""

from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, in_a_sentence, print_json, who
from dicomnode.cli.destinations.asking import NameArgument
from dicomnode.desk.destinations import pausing

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; others will read it.")]


def pause(
    name: NameArgument, config: ConfigOption = None, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Send nothing more to it, from any node, until it is resumed; the instance on the wire is the last."""
    flow = flow_of(config)
    with in_a_sentence():
        changed = pausing.pause(flow, who(), name, reason)
    _told(name, "paused", changed, as_json)


def resume(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Send to it again; if it was down, it is tried now, without waiting for the next attempt."""
    flow = flow_of(config)
    with in_a_sentence():
        released, asked = pausing.resume(flow, who(), name)
    _told(name, "resumed" if released else "tried again now", released or asked, as_json)


def _told(name: str, what: str, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "changed": changed})
    else:
        print(f"{name}: {what if changed else 'as before'}")
