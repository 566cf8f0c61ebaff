"""`destinations`: where series are sent.

- listing: which there are, how each fares, and what waits for it
- asking: does it answer, and what does it take
- pausing: send nothing to it for a while
"""

from dicomnode.cli.destinations.asking import echo, probe
from dicomnode.cli.destinations.listing import app
from dicomnode.cli.destinations.pausing import pause, resume

app.command("echo")(echo)
app.command("probe")(probe)
app.command("pause")(pause)
app.command("resume")(resume)

__all__ = ["app"]
