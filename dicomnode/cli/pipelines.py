"""`pipelines list|run`."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from dicomnode.app import build_flow
from dicomnode.cli.common import ConfigOption, JsonOption, fail, print_json, print_table, settings_of
from dicomnode.enhance.errors import EnhanceError
from dicomnode.flow.by_hand import enhance_folder

app = typer.Typer(help="What can enhance a series.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All pipelines found, broken ones with the reason."""
    registry = build_flow(settings_of(config)).registry
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "version": entry.version,
            "usable": entry.usable,
            "title": entry.title,
            "weights_sha256": entry.card.weights.sha256 if entry.card else None,
            "error": entry.error,
            "params": entry.pipeline.Params.model_json_schema() if entry.pipeline else None,
        }
        for entry in registry
    ]
    print_table(rows, as_json, "no pipeline was found", ("name", "version", "usable", "title", "error"))


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="Name of the pipeline.")],
    in_: Annotated[Path, typer.Option("--in", help="Folder of DICOM files; sub-folders too.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the derived files; made where needed.")],
    param: Annotated[list[str] | None, typer.Option("--param", help="name=value; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda:0, ... or auto.")] = "auto",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a pipeline on a folder of files, without a node: for trying it out."""
    if not in_.is_dir():
        fail(f"there is no folder {in_}")
    flow = build_flow(settings_of(config))
    try:
        rows = list(enhance_folder(flow, name, in_, out, params_of(param or []), device, quiet=as_json))
    except EnhanceError as error:
        fail(str(error))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, False, f"there are no DICOM files in {in_}", ("series_uid", "files", "verdict", "reason"))
    if rows and not any(row["files"] for row in rows):
        raise typer.Exit(1)


def params_of(pairs: list[str]) -> dict[str, Any]:
    """Parameters as they are typed, `name=value` each; values are read as YAML. Raises CommandFailed."""
    params: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            fail(f"--param takes name=value, not {pair!r}")
        params[name] = yaml.safe_load(value)
    return params
