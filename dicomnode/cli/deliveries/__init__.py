"""`deliveries`: what is sent where, instance by instance, and what an operator does with it.

- listing: what there is, what the destinations said, and what it waits for
- moving: retry, cancel, re-route, ask again whether it is kept; one delivery, several, or all that fit
"""

from dicomnode.cli.deliveries.listing import app
from dicomnode.cli.deliveries.moving import cancel, confirm, reroute, retry

app.command("retry")(retry)
app.command("cancel")(cancel)
app.command("reroute")(reroute)
app.command("confirm")(confirm)

__all__ = ["app"]
