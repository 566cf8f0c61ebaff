"""The draft: the next revision while it is written. One for the site; it acts on nothing until it is published."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import SiteDraft
from dicomnode.db.repositories import drafts
from dicomnode.db.repositories import site as site_rows
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.diff import SiteDiff, diff_sites
from dicomnode.desk.rules.reach import check_hosts
from dicomnode.desk.rules.validation import digest_of, validated
from dicomnode.domain.site import Site
from dicomnode.flow import Flow
from dicomnode.route.site_document import dump_site

MOST_LINES = 200
"""Lines of a difference that one audit event tells."""


@dataclass(frozen=True)
class Draft:
    """The next revision as it stands. Untouched, it is the revision in force, and follows it.

    `version` counts every change and never goes back, over publishing and discarding as well: who saves names the one
    that was read. `base` is the revision it started from, `in_force` the one that acts now.
    """

    version: int
    base: int
    in_force: int
    site: Site
    before: Site
    """The revision it started from."""
    digest: str
    author: str = ""
    changed_at: datetime | None = None

    @property
    def touched(self) -> bool:
        """Whether it differs from the revision that it started from."""
        return self.digest != digest_of(self.before)

    @property
    def stale(self) -> bool:
        """Whether another revision came in force under it: `rebase` brings both together."""
        return self.base != self.in_force

    @property
    def known(self) -> tuple[Site, Site]:
        """What is not held against the pipelines of today a second time: see `validated`."""
        return self.site, self.before

    @property
    def diff(self) -> SiteDiff:
        """What it changes of the revision that it started from."""
        return diff_sites(self.before, self.site)

    def document(self) -> dict[str, Any]:
        """As plain document."""
        return self.site.to_document()

    def yaml(self) -> str:
        """As a file that `site import` takes."""
        return dump_site(self.site)


def read_draft(flow: Flow) -> Draft:
    """The draft, or what it would start from."""
    with flow.database.read() as session:
        return _draft(flow, session)


def locked_draft(flow: Flow, session: Session, version: int) -> Draft:
    """The draft of this version, which nobody else changes until the transaction ends. Raises Refused for another."""
    draft = _draft(flow, session, lock=True)
    if draft.version != version:
        raise _quicker(draft, version)
    return draft


def save_draft(flow: Flow, person: Person, document: Mapping[str, Any] | str, version: int) -> Draft:
    """Put a whole document (plain, or YAML text) in the draft's place.

    Raises Refused: `invalid` with a problem for each finding, or for a host that the browser may not lead the node to;
    `conflict` if `version` is not the one there is now.
    """
    draft = read_draft(flow)
    site = validated(flow, document, known=draft.known)
    check_hosts(flow, person, (destination.host for destination in site.destinations), [draft.site, draft.before])
    with flow.database.write() as session:
        return store(flow, session, person, locked_draft(flow, session, version), site)


def discard_draft(flow: Flow, person: Person, version: int) -> Draft:
    """Throw away what the draft changed. Returns the one to start from again. Raises Refused as `save_draft`."""
    with flow.database.write() as session:
        draft = locked_draft(flow, session, version)
        if not draft.touched:
            return draft
        fresh = _write(flow, session, person, draft, *flow.site.get(session))
        _note(flow, session, person, "draft.discarded", f"version {draft.version} of the draft was thrown away", draft)
        return fresh


def store(flow: Flow, session: Session, person: Person, draft: Draft, site: Site, base: int | None = None) -> Draft:
    """Put `site` in the place of a locked draft, and say in the audit log what that changed."""
    changed = diff_sites(draft.site, site)
    base = draft.base if base is None else base
    if not changed and base == draft.base:
        return draft
    saved = _write(flow, session, person, draft, base, site)
    sentence = f"version {saved.version} of the draft: {_count(len(changed.entries))} changed"
    _note(flow, session, person, "draft.saved", sentence, saved, changed)
    return saved


def follow(session: Session, person: Person, draft: Draft, number: int, site: Site) -> None:
    """The locked draft has become revision `number`: it is untouched from here on."""
    at, document = database_now(session), site.to_document()
    drafts.save(
        session, draft.version, base=number, document=document, digest=digest_of(site), author=person.name, at=at
    )


def when(at: datetime | None) -> str:
    """An instant in a sentence."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "an unknown time"


def _draft(flow: Flow, session: Session, *, lock: bool = False) -> Draft:
    row = drafts.find(session, lock=lock)
    number, site = flow.site.get(session)
    if row is None:
        return Draft(0, number, number, site, site, digest_of(site))
    before = site if row.base == number else site_of(session, row.base)
    if row.digest in (digest_of(before), digest_of(site)):
        return Draft(row.version, number, number, site, site, digest_of(site), row.author, row.changed_at)
    return _of_row(row, number, before)


def _of_row(row: SiteDraft, in_force: int, before: Site) -> Draft:
    site = Site.model_validate(row.document)
    return Draft(row.version, row.base, in_force, site, before, row.digest, row.author, row.changed_at)


def site_of(session: Session, number: int) -> Site:
    """The site of a revision, an empty one for revision 0. Raises Refused if there is no such revision."""
    row = site_rows.revision(session, number) if number else None
    if number and row is None:
        raise Refused(f"there is no revision {number}", "missing")
    return Site.model_validate(row.document) if row else Site()


def _write(flow: Flow, session: Session, person: Person, draft: Draft, base: int, site: Site) -> Draft:
    at, digest = database_now(session), digest_of(site)
    document, by = site.to_document(), person.name
    if not drafts.save(session, draft.version, base=base, document=document, digest=digest, author=by, at=at):
        raise _quicker(_draft(flow, session), draft.version)
    return _draft(flow, session)


def _quicker(draft: Draft, version: int) -> Refused:
    by = f"{draft.author} changed it at {when(draft.changed_at)}" if draft.author else "there is none yet"
    return Refused(
        f"the draft is at version {draft.version}, not {version}: {by}; look at it as it is now, then change it",
        "conflict",
    )


def _count(entries: int) -> str:
    return "1 rule or destination" if entries == 1 else f"{entries} rules and destinations"


def _note(
    flow: Flow,
    session: Session,
    person: Person,
    kind: str,
    sentence: str,
    draft: Draft,
    changed: SiteDiff | None = None,
) -> None:
    lines = (changed or draft.diff).lines()[:MOST_LINES]
    detail = {"version": draft.version, "base": draft.base, "digest": draft.digest, "changes": lines}
    record(session, kind, sentence, node=flow.node, actor=person.name, subject="draft", detail=detail)
