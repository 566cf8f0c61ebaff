"""`rules`: which series are enhanced and forwarded, and why.

- listing: those in force, why one did what it did, what a shadow showed
- trying: what a document would have done to the series of the past
- revisions: what changed when, what differs, back to an earlier one, the draft
"""

from dicomnode.cli.rules.listing import app
from dicomnode.cli.rules.revisions import diff, draft, revisions, rollback
from dicomnode.cli.rules.trying import replay

app.command("replay")(replay)
app.command("revisions")(revisions)
app.command("diff")(diff)
app.command("rollback")(rollback)
app.add_typer(draft, name="draft")

__all__ = ["app"]
