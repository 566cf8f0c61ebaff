"""`pipelines list|run`."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from dicomnode.app import build_flow, load_registry, open_database
from dicomnode.cli.common import ConfigOption, JsonOption, fail, print_json, print_table, settings_of
from dicomnode.db import migrate
from dicomnode.db.repositories import pipeline_runs
from dicomnode.db.repositories.pipeline_runs import Run
from dicomnode.desk.broken import why_broken
from dicomnode.desk.pipelines import LAST
from dicomnode.desk.weights import state_of
from dicomnode.enhance.errors import EnhanceError
from dicomnode.flow.enhancing.by_hand import enhance_folder
from dicomnode.settings import Settings

app = typer.Typer(help="What can enhance a series.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All pipelines found, broken ones with the reason: their file, their weights, or what a worker found of them."""
    settings = settings_of(config)
    registry = load_registry(settings)
    runs = _runs(settings, {entry.name for entry in registry})
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "version": entry.version,
            "usable": not error,
            "title": entry.title,
            "weights_sha256": entry.card.weights.sha256 if entry.card else None,
            "error": error,
            "params": entry.pipeline.Params.model_json_schema() if entry.pipeline else None,
        }
        for entry in registry
        for error in [why_broken(entry, state_of(entry), runs.get(entry.name, ()))]
    ]
    print_table(rows, as_json, "no pipeline was found", ("name", "version", "usable", "title", "error"))


def _runs(settings: Settings, names: Iterable[str]) -> dict[str, Sequence[Run]]:
    """Each one's newest jobs, which tell what workers found. Where they cannot be read the files tell alone."""
    url = make_url(settings.database.url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():  # asking would make it
        return _files_alone(f"there is no database {url.database}")
    database = open_database(settings)
    try:
        if migrate.current(database) != migrate.head():
            return _files_alone("the database is not at this version's schema")
        with database.read() as session:
            return {name: pipeline_runs.last(session, name, LAST) for name in names}
    except DBAPIError as error:
        return _files_alone(f"the database does not answer: {str(error.orig).partition(chr(10))[0]}")
    finally:
        database.close()


def _files_alone(reason: str) -> dict[str, Sequence[Run]]:
    print(f"dicomnode: {reason}; whether a worker refused a pipeline is not known", file=sys.stderr)
    return {}


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
