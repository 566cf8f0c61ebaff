"""`enhancing stop|start|show`: the one switch that leaves nothing but the originals."""

from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, print_json, who
from dicomnode.desk import switch
from dicomnode.jobs.waiting import hold_words

app = typer.Typer(help="The stop switch: enhance nothing, originals flow.", no_args_is_help=True)


@app.command("stop")
def stop(
    config: ConfigOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; others will read it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Stop all enhancing, on every node: jobs in hand are given back, derived series are not sent. Originals flow."""
    changed = switch.stop(flow_of(config), who(), reason)
    show(config, as_json) if as_json or not changed else print("enhancing is stopped; originals flow")


@app.command("start")
def start(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Enhance again: what waited meanwhile is done, unless its deadline has passed."""
    switch.start(flow_of(config), who())
    show(config, as_json)


@app.command("show")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Whether enhancing is stopped, by whom and why."""
    stopped = switch.stopped(flow_of(config))
    if as_json:
        told = {"by": stopped.by, "reason": stopped.reason, "since": stopped.since} if stopped else {}
        print_json({"stopped": stopped is not None, **told})
    else:
        print(hold_words(stopped) if stopped else "enhancing goes on")
