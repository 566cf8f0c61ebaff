"""`bench`: what this machine makes of the node's work, measured where it will run."""

import typer

from dicomnode.cli.bench.deliver import deliver
from dicomnode.cli.bench.enhance import enhance
from dicomnode.cli.bench.latency import latency
from dicomnode.cli.bench.ledger import ledger
from dicomnode.cli.bench.receive import receive
from dicomnode.cli.bench.replay import replay
from dicomnode.cli.bench.web import web

app = typer.Typer(
    help="Measure this machine: receiving, delivering, enhancing, latency, the ledger, replay of rules, and the pages.",
    no_args_is_help=True,
)
app.command("receive")(receive)
app.command("deliver")(deliver)
app.command("enhance")(enhance)
app.command("latency")(latency)
app.command("ledger")(ledger)
app.command("web")(web)
app.command("replay")(replay)


@app.callback()
def _nouns() -> None:
    """Measure this machine. Each command makes its own data, uses a temporary folder and leaves nothing behind."""
