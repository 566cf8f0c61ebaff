"""`jobs`: the enhancements that wait, run and are over, and what an operator does with them.

- listing: what there is, and what it waits for
- pausing: start nothing more, of one pipeline or of all
- moving: retry, cancel, re-route; one job, several, or all that fit
"""

from dicomnode.cli.jobs.listing import app
from dicomnode.cli.jobs.moving import cancel, reroute, retry
from dicomnode.cli.jobs.pausing import pause, resume

app.command("pause")(pause)
app.command("resume")(resume)
app.command("retry")(retry)
app.command("cancel")(cancel)
app.command("reroute")(reroute)

__all__ = ["app"]
