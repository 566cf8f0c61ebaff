"""`enhancing stop|start|show`: the one switch that leaves nothing but the originals."""

from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, actor, flow_of, print_json
from dicomnode.db.repositories import holds
from dicomnode.db.repositories.holds import ENHANCING
from dicomnode.jobs import switches
from dicomnode.jobs.waiting import hold_words

app = typer.Typer(help="The stop switch: enhance nothing, originals flow.", no_args_is_help=True)


@app.command("stop")
def stop(
    config: ConfigOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; others will read it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Stop all enhancing, on every node: jobs in hand are given back, derived series are not sent. Originals flow."""
    flow = flow_of(config)
    with flow.database.write() as session:
        changed = switches.stop_enhancing(session, actor(), reason, flow.node)
    show(config, as_json) if as_json or not changed else print("enhancing is stopped; originals flow")


@app.command("start")
def start(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Enhance again: what waited meanwhile is done, unless its deadline has passed."""
    flow = flow_of(config)
    with flow.database.write() as session:
        switches.start_enhancing(session, actor(), flow.node)
    show(config, as_json)


@app.command("show")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Whether enhancing is stopped, by whom and why."""
    flow = flow_of(config)
    with flow.database.read() as session:
        stopped = holds.held(session, ENHANCING)
    if as_json:
        told = {"by": stopped.by, "reason": stopped.reason, "since": stopped.since} if stopped else {}
        print_json({"stopped": stopped is not None, **told})
    else:
        print(hold_words(stopped) if stopped else "enhancing goes on")
