"""The audit log: search it, see whether its chain holds, take it away as a file."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.audit.events import KINDS
from dicomnode.desk.audit import exporting, searching, verifying
from dicomnode.desk.audit.asked import GROUPS, OUTCOMES, Asked
from dicomnode.desk.audit.exporting import Format
from dicomnode.desk.audit.masking import shown
from dicomnode.desk.audit.searching import key_of
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.api.audit import TheFilters, download
from dicomnode.web.paging import LIMIT, Cursor, decode, encode
from dicomnode.web.rendering import is_part, page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/audit", include_in_schema=False)

Reader = Annotated[Person, allow(Permission.AUDIT)]
Exporter = Annotated[Person, allow(Permission.AUDIT_EXPORT)]
Text = Annotated[str, Form(max_length=200)]

KIND_OPTIONS = [
    *((group, f"{group}: all") for group in GROUPS),
    *((kind, kind) for kind in sorted(KINDS)),
]


@router.get("")
def listing(request: Request, flow: TheFlow, person: Reader, filters: TheFilters, cursor: Cursor = "") -> Response:
    """The newest events that pass, and the state of the chain."""
    key = decode(cursor, str, int)
    found = searching.search(flow, person, filters, LIMIT, key_of(*key) if key else None)
    here = dict(filters.set())
    further = urlencode({**here, "cursor": encode((found.next[0].isoformat(), found.next[1]))}) if found.next else ""
    return page(
        request,
        "audit/page.html",
        person,
        entries=found.entries,
        asked=filters,
        kinds=KINDS,
        shown=partial(shown, person),
        details=_details,
        kind_options=KIND_OPTIONS,
        outcomes=OUTCOMES,
        next_url=f"/audit?{further}" if further else "",
        first_url=f"/audit?{urlencode(here)}" if cursor else "",
        chain=verifying.state(flow),
    )


def _details(detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The detail for reading: words and numbers as they are, what is more as JSON."""
    return [
        (name.replace("_", " "), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in detail.items()
    ]


@router.get("/verification")
def verification(request: Request, flow: TheFlow, person: Reader) -> Response:
    """The state of the chain alone, which follows a verification under way."""
    template = "audit/_chain.html" if is_part(request) else "audit/chain.html"
    return page(request, template, person, chain=verifying.state(flow))


@router.post("/verification")
def verify(request: Request, flow: TheFlow, person: Reader) -> Response:
    """Begin to verify."""
    verifying.start(flow, person)
    if is_part(request):
        return page(request, "audit/_chain.html", person, chain=verifying.state(flow))
    return RedirectResponse("/audit/verification", 303)


@router.post("/export")
def export(
    flow: TheFlow,
    person: Exporter,
    format: Annotated[Format, Form()] = Format.CSV,
    since: Text = "",
    until: Text = "",
    kind: Text = "",
    actor: Text = "",
    outcome: Text = "",
    series: Text = "",
    study: Text = "",
    subject: Text = "",
) -> Response:
    """What passes the filters, as a file."""
    asked = Asked(since, until, kind, actor, outcome, series, study, subject)
    return download(exporting.export(flow, person, asked, format), format)
