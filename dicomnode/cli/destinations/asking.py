"""`destinations echo|probe`."""

from typing import Annotated, Any

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, in_a_sentence, print_json, print_table, who
from dicomnode.deliver.probe import ALL_CLASSES, USUAL_CLASSES, name_of
from dicomnode.desk.destinations import asking

NameArgument = Annotated[str, typer.Argument(help="Name of a destination.")]


def echo(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """C-ECHO: does the destination answer?"""
    flow = flow_of(config)
    with in_a_sentence():
        asked = asking.echo(flow, who(), name)
    if asked.said is None:
        fail(f"{asked.at} does not answer: {asked.failure}")
    if asked.said.status != 0:
        fail(f"{asked.at} answers C-ECHO with {asked.said.status:04X}")
    milliseconds = round(asked.seconds * 1000)
    if as_json:
        print_json({"name": name, "ok": True, "milliseconds": milliseconds})
    else:
        print(f"{asked.at} answers ({milliseconds} ms)")


def probe(
    name: NameArgument,
    config: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every storage class, not the usual ones alone.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What does the destination take? SOP classes and transfer syntaxes, asked without sending anything."""
    flow = flow_of(config)
    with in_a_sentence():
        asked = asking.probe(flow, who(), name, ALL_CLASSES if everything else USUAL_CLASSES)
    if asked.said is None:
        fail(f"{asked.at} cannot be asked: {asked.failure}")
    rows: list[dict[str, Any]] = [
        {"sop_class": name_of(uid), "uid": uid, "transfer_syntaxes": [name_of(each) for each in syntaxes]}
        for uid, syntaxes in asked.said.classes.items()
    ]
    if as_json:
        print_json({"name": name, "services": asked.said.services, "classes": rows})
        return
    for service, offered in asked.said.services.items():
        print(f"{service}: {'yes' if offered else 'no'}")
    for row in rows:
        row["transfer_syntaxes"] = ", ".join(row["transfer_syntaxes"]) or "none: it refuses the class"
    print_table(rows, False, "", ("sop_class", "transfer_syntaxes"))
