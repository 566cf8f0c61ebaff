"""Revisions as they were, the one in force to take away, and any two of them held against each other."""

from collections.abc import Sequence

from dicomnode.audit.events import record
from dicomnode.db.models import SiteRevision
from dicomnode.db.repositories import site as site_rows
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.diff import SiteDiff, diff_sites
from dicomnode.desk.rules.draft import read_draft, site_of
from dicomnode.domain.site import Site
from dicomnode.flow import Flow


def list_revisions(flow: Flow, before: int | None = None, limit: int = 50) -> Sequence[SiteRevision]:
    """The newest, or those before a number; the newest first, which is in force."""
    with flow.database.read() as session:
        return site_rows.revisions(session, before, limit)


def read_revision(flow: Flow, number: int) -> SiteRevision:
    """One revision. Raises Refused, `missing`."""
    with flow.database.read() as session:
        row = site_rows.revision(session, number)
    if row is None:
        raise Refused(f"there is no revision {number}", "missing")
    return row


def export_site(flow: Flow, person: Person) -> tuple[int, Site]:
    """The revision in force (0: none yet) and its site. Nothing leaves before the event that says so is in the log."""
    with flow.database.write() as session:
        number, site = flow.site.get(session)
        message = f"{person.name} exported the destinations and rules of revision {number}"
        detail = {"revision": number, "via": person.via}
        record(session, "site.exported", message, node=flow.node, actor=person.name, detail=detail)
    return number, site


def named_site(flow: Flow, name: str) -> Site | None:
    """The site of a revision's number, of `draft` or `in force`; None for another word. Raises Refused, `missing`."""
    if name == "draft":
        return read_draft(flow).site
    with flow.database.read() as session:
        if name == "in force":
            return flow.site.get(session)[1]
        return site_of(session, int(name)) if name.isascii() and name.isdigit() and len(name) < 19 else None


def diff_named(flow: Flow, before: str, after: str) -> SiteDiff:
    """What differs between two sites, each by its name. Raises Refused, `missing`."""
    return diff_sites(_side(flow, before), _side(flow, after))


def _side(flow: Flow, name: str) -> Site:
    site = named_site(flow, name)
    if site is None:
        raise Refused(f"{name} is no revision", "missing")
    return site
