"""Revisions: who put what in force when and why, what each changed, and the way back to one."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.db.models import SiteRevision
from dicomnode.db.repositories import replays
from dicomnode.db.repositories import site as site_rows
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.broken import broken_rules
from dicomnode.desk.rules.diff import SiteDiff, diff_sites
from dicomnode.desk.rules.draft import read_draft, site_of
from dicomnode.desk.rules.publish import rollback
from dicomnode.desk.rules.restored import restored
from dicomnode.domain.roles import Permission
from dicomnode.domain.site import Site
from dicomnode.flow import Flow
from dicomnode.route.site_document import dump_site
from dicomnode.web.access.gate import allow
from dicomnode.web.paging import LIMIT, Cursor, decode, page_of
from dicomnode.web.queue_fields import NO_NUL, Number
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/rules/revisions", include_in_schema=False)

Reader = Annotated[Person, allow(Permission.RULES)]
Publisher = Annotated[Person, allow(Permission.RULES_PUBLISH)]

ORIGINS = {
    "import": "a file was imported",
    "publish": "the draft was published",
    "rollback": "an earlier one was restored",
}


@router.get("")
def listing(request: Request, flow: TheFlow, person: Reader, cursor: Cursor = "") -> Response:
    """The newest first."""
    key = decode(cursor, int)
    with flow.database.read() as session:
        found = site_rows.revisions(session, key[0] if key else None, LIMIT + 1)
        newest = site_rows.newest_number(session)
    rows, further = page_of(found, LIMIT, lambda row: (row.number,))
    return page(
        request,
        "rules/revisions.html",
        person,
        rows=rows,
        further=further,
        first=not cursor,
        newest=newest,
        origins=ORIGINS,
    )


@router.get("/{number}")
def one(request: Request, flow: TheFlow, person: Reader, number: Number, published: bool = False) -> Response:
    """One in full."""
    with flow.database.read() as session:
        row = _row(session, number)
        site, before = Site.model_validate(row.document), site_of(session, _before(session, number))
        newest = site_rows.newest_number(session)
        replay = replays.find(session, row.replay_id) if row.replay_id else None
        beside = diff_sites(site_of(session, row.restores), site).destinations if row.restores else ()
    return page(
        request,
        "rules/revision.html",
        person,
        row=row,
        site=site,
        text=dump_site(site),
        changes=diff_sites(before, site),
        newest=newest,
        replay=replay,
        origins=ORIGINS,
        published=published,
        beside=[entry.name for entry in beside],
        broken=list(broken_rules(flow, site).values()) if number == newest else [],
    )


@router.get("/{number}/rollback")
def ask_to_roll_back(request: Request, flow: TheFlow, person: Publisher, number: Number) -> Response:
    """What it would change of what is in force."""
    return _ask(request, flow, person, number)


@router.post("/{number}/rollback")
def roll_back(
    request: Request,
    flow: TheFlow,
    person: Publisher,
    number: Number,
    seen: Annotated[int, Form(ge=0)],
    comment: Annotated[str, Form(max_length=2000, pattern=NO_NUL)] = "",
) -> Response:
    """Put its document in force again. `seen`: the revision whose difference was on the page."""
    with flow.database.read() as session:
        newest = site_rows.newest_number(session)
    if newest != seen:
        return _ask(
            request, flow, person, number, 409, f"Revision {newest} came in force meanwhile: look again.", comment
        )
    try:
        done = rollback(flow, person, number, comment.strip() or f"back to revision {number}")
    except Refused as refused:
        if refused.kind == "missing":
            raise
        return _ask(request, flow, person, number, 409, f"{refused}.", comment)
    return RedirectResponse(f"/rules/revisions/{done.number}?{urlencode({'published': 1})}", 303)


def _ask(
    request: Request, flow: Flow, person: Person, number: int, status: int = 200, problem: str = "", comment: str = ""
) -> Response:
    with flow.database.read() as session:
        row, (newest, now) = _row(session, number), flow.site.get(session)
        found = restored(session, number, now)
    changes: SiteDiff = diff_sites(now, found.site)
    draft = read_draft(flow)
    return page(
        request,
        "rules/rollback.html",
        person,
        status,
        row=row,
        newest=newest,
        changes=changes,
        note=found.note,
        broken=list(broken_rules(flow, found.site).values()),
        problem=problem,
        comment=comment,
        draft=draft,
    )


def _row(session: Any, number: int) -> SiteRevision:
    row = site_rows.revision(session, number)
    if row is None:
        raise Refused(f"there is no revision {number}", "missing")
    return row


def _before(session: Any, number: int) -> int:
    """The one before; numbers may have gaps where a transaction did not go through."""
    rows = site_rows.revisions(session, number, 1)
    return rows[0].number if rows else 0
