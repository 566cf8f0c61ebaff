"""The command line: one file per noun. `main` turns expected failures into one plain sentence."""

import sys

import typer
from sqlalchemy.exc import DBAPIError

from dicomnode import __version__
from dicomnode.cli import (
    audit,
    bench,
    commitments,
    config,
    db,
    deliveries,
    demo,
    destinations,
    doctor,
    enhancing,
    jobs,
    models,
    nodes,
    pipelines,
    rules,
    send,
    series,
    serve,
    site,
    users,
)
from dicomnode.cli.common import CommandFailed
from dicomnode.desk.refused import Refused
from dicomnode.domain.tls import TlsUnusable
from dicomnode.settings import SettingsError

app = typer.Typer(
    name="dicomnode",
    help="A DICOM node beside the PACS: rules route, a GAN enhances, every step is audited.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("send")(send.send)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("nodes")(nodes.nodes)
for name, noun in {
    "config": config,
    "db": db,
    "site": site,
    "destinations": destinations,
    "rules": rules,
    "series": series,
    "jobs": jobs,
    "enhancing": enhancing,
    "deliveries": deliveries,
    "commitments": commitments,
    "pipelines": pipelines,
    "models": models,
    "audit": audit,
    "users": users,
    "bench": bench,
}.items():
    app.add_typer(noun.app, name=name)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print it.")) -> None:
    """Options of the program itself."""


def main() -> None:
    """Run a command; exit 1 with one plain sentence on stderr when it cannot do what was asked."""
    try:
        app()
    except (CommandFailed, Refused, SettingsError, TlsUnusable) as error:
        _fail(str(error))
    except DBAPIError as error:
        _fail(f"the database does not answer: {str(error.orig).partition(chr(10))[0]}")  # libpq adds lines of advice


def _fail(message: str) -> None:
    print(f"dicomnode: {message}", file=sys.stderr)
    raise SystemExit(1)
