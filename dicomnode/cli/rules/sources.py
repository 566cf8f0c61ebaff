"""What a command's argument names: the draft, a revision, or a file."""

from pathlib import Path

from dicomnode.cli.site import text_of
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.revisions import named_site
from dicomnode.desk.rules.validation import validated
from dicomnode.domain.site import Site
from dicomnode.flow import Flow


def site_named(flow: Flow, name: str) -> Site:
    """`draft`, a revision's number, or a YAML file, which is validated. Raises Refused and CommandFailed."""
    found = named_site(flow, name)
    return found if found is not None else validated(flow, text_of(Path(name)), known=read_draft(flow).known)
