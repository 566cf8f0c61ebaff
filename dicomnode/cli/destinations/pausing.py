"""`destinations pause|resume`."""

from pathlib import Path
from typing import Annotated

import typer

from dicomnode.audit.events import record
from dicomnode.cli.common import ConfigOption, JsonOption, actor, fail, flow_of, print_json
from dicomnode.cli.destinations.asking import NameArgument
from dicomnode.db.repositories import holds, outages
from dicomnode.flow import Flow

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; others will read it.")]


def pause(
    name: NameArgument, config: ConfigOption = None, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Send nothing more to it, from any node, until it is resumed; the instance on the wire is the last."""
    flow, by = _flow_with(config, name), actor()
    with flow.database.write() as session:
        changed = holds.hold(session, holds.DESTINATION, name, by, reason)
        if changed:
            message = f"{by} paused {name}" + (f": {reason}" if reason else "")
            record(session, "destination.paused", message, node=flow.node, actor=by, subject=f"destination:{name}")
    _told(name, "paused", changed, as_json)


def resume(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Send to it again; if it was down, it is tried now, without waiting for the next attempt."""
    flow, by = _flow_with(config, name), actor()
    with flow.database.write() as session:
        released = holds.release(session, holds.DESTINATION, name)
        asked = outages.ask_now(session, name)
        if released or asked:
            message = f"{by} lets {name} be sent to again" if released else f"{by} has {name} tried again now"
            record(session, "destination.resumed", message, node=flow.node, actor=by, subject=f"destination:{name}")
    _told(name, "resumed" if released else "tried again now", released or asked, as_json)


def _flow_with(config: Path | None, name: str) -> Flow:
    flow = flow_of(config)
    with flow.database.read() as session:
        known = flow.site.get(session)[1].destination(name) is not None
        held = holds.held(session, holds.DESTINATION, name) is not None
    if not known and not held:
        fail(f"there is no destination {name!r}")
    return flow


def _told(name: str, what: str, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "changed": changed})
    else:
        print(f"{name}: {what if changed else 'as before'}")
