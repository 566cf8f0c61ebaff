"""`series list|show|complete|export|keep|release|run`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from dicomnode.cli.common import (
    ConfigOption,
    JsonOption,
    LimitOption,
    actor,
    fail,
    flow_of,
    in_a_sentence,
    plain,
    print_json,
    print_table,
    who,
)
from dicomnode.cli.pipelines import params_of
from dicomnode.db.repositories.series_search import Wanted
from dicomnode.desk.series import acting, finding
from dicomnode.desk.series.document import document as known_of
from dicomnode.desk.series.finding import Row
from dicomnode.flow.delivering.export import CannotExport
from dicomnode.flow.delivering.export import export as write_files
from dicomnode.flow.enhancing.asked import Asked

app = typer.Typer(help="Series and what became of them.", no_args_is_help=True)
Uid = Annotated[str, typer.Argument(help="Series Instance UID.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 50,
    study: Annotated[str | None, typer.Option("--study", help="Of this study alone.")] = None,
    find: Annotated[str, typer.Option("--find", help="Words of name, ID, accession, description; or a UID.")] = "",
    status: Annotated[str, typer.Option("--status", help="failed, withheld, receiving, delivered, ...")] = "",
    as_json: JsonOption = False,
) -> None:
    """The series that arrived, the newest first."""
    flow = flow_of(config)
    wanted = Wanted(study_uid=study or "", text=find, status=status)
    with in_a_sentence():
        rows = [_listed(row) for row in finding.listed(flow, who(), wanted, limit)]
    columns = ("uid", "modality", "description", "instances", "status", "generation", "calling_aet", "last_arrival_at")
    print_table(rows, as_json, "no series fits" if study or find or status else "no series has arrived yet", columns)


@app.command("show")
def show(uid: Uid, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Everything known of a series: its instances, decisions, enhancements, deliveries and its story."""
    flow = flow_of(config)
    with in_a_sentence():
        document = known_of(flow, who(), uid)
    if as_json:
        print_json(document)
        return
    head = {key: value for key, value in document.items() if not isinstance(value, list)}
    for name, value in plain(head).items():
        print(f"{name.replace('_', ' '):>18}  {'' if value is None else value}")
    for section in ("decisions", "enhancements", "outdated", "rejected", "deliveries", "versions"):
        if document[section]:
            print(f"\n{section}")
            print_table(document[section], False, "")
    print("\nstory")
    print_table(document["story"], False, "nothing yet", ("at", "kind", "message"))


@app.command("complete")
def complete(uid: Uid, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say that a series is complete, now, without waiting for evidence or quiet time."""
    flow = flow_of(config)
    with in_a_sentence():
        acting.complete(flow, who(), uid)
    print_json({"uid": uid, "ok": True}) if as_json else print("it will be completed within a second by the node")


@app.command("export")
def export(
    uid: Uid,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; made where needed.")],
    config: ConfigOption = None,
    derived: Annotated[bool, typer.Option("--derived", help="What was derived from it as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a series' instances as DICOM files, byte for byte as they are stored."""
    flow = flow_of(config)
    try:
        with Progress(console=Console(stderr=True), disable=as_json) as progress:
            task = progress.add_task("export", total=None)
            count = write_files(
                flow,
                uid,
                out,
                actor(),
                derived=derived,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
    except CannotExport as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror}")
    print_json({"uid": uid, "files": count}) if as_json else print(f"{count} files in {out}")


@app.command("keep")
def keep(uid: Uid, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Keep a series from retention, until it is released."""
    flow = flow_of(config)
    with in_a_sentence():
        acting.keep(flow, who(), uid)
    print_json({"uid": uid, "kept": True}) if as_json else print("retention leaves it alone from now on")


@app.command("release")
def release(
    uid: Uid,
    config: ConfigOption = None,
    promise: Annotated[
        bool, typer.Option("--promise", help="Break what a modality was promised by storage commitment, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Leave a series to retention: it is kept no longer, and its quarantined conflicts have been looked at."""
    flow = flow_of(config)
    with in_a_sentence():
        released = acting.release(flow, who(), uid, promise=promise)
    kept_for, settled = released.kept_for, released.conflicts
    if as_json:
        print_json({"uid": uid, "kept": bool(kept_for), "conflicts": settled})
    else:
        words = (
            f"it stays, as it was promised to {kept_for} by storage commitment" if kept_for else "retention may take it"
        )
        print(words + (f"; {settled} conflicts are settled" if settled else ""))


@app.command("run")
def run(
    uid: Uid,
    pipeline: Annotated[str, typer.Option("--pipeline", help="What is to be run on it.")],
    param: Annotated[list[str] | None, typer.Option("--param", help="name=value; may be repeated.")] = None,
    to: Annotated[
        list[str] | None, typer.Option("--to", help="Destination of the result; may be repeated. Without: none.")
    ] = None,
    priority: Annotated[str, typer.Option(help="stat, normal or off-peak.")] = "normal",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a pipeline run on a series by hand, whatever the rules say of it."""
    flow = flow_of(config)
    asked = Asked(pipeline, params_of(param or []), tuple(to or ()), priority)
    with in_a_sentence():
        entered = acting.run(flow, who(), uid, asked)
    if as_json:
        print_json({"uid": uid, "job": entered.job, "state": entered.state, "deliver_to": list(entered.destinations)})
    else:
        where = f"goes to {', '.join(entered.destinations)}" if entered.destinations else "is sent nowhere"
        print(f"job {entered.job} is {entered.state}; the result {where}")


def _listed(row: Row) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name not in ("study_description", "derived_by_node")}
