"""`bench`: what this machine makes of the node's work, measured where it will run."""

import typer

from dicomnode.cli.bench.enhance import enhance

app = typer.Typer(help="Measure this machine: `bench enhance` is the enhancement's speed.", no_args_is_help=True)
app.command("enhance")(enhance)


@app.callback()
def _nouns() -> None:
    """Measure this machine. Each command makes its own data, uses a temporary folder and leaves nothing behind."""
