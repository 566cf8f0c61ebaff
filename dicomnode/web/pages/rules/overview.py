"""The rules in force, and whether somebody is at work on the next revision."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.in_force import rules_in_force
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.pages.rules.trying import trial_of
from dicomnode.web.pages.rules.words import search
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/rules", include_in_schema=False)

Reader = Annotated[Person, allow(Permission.RULES)]
Writer = Annotated[Person, allow(Permission.RULES_TRY)]


@router.get("")
def overview(request: Request, flow: TheFlow, person: Reader) -> Response:
    """Every rule with what it does, what keeps it from it, and how often it matched."""
    draft = read_draft(flow)
    return page(
        request, "rules/overview.html", person, now=rules_in_force(flow), draft=draft, trial=trial_of(flow, draft)
    )


@router.get("/attributes")
def attributes(flow: TheFlow, person: Writer, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """What a row of the editor may be about, for the search while one types: names, words, creators."""
    return JSONResponse([vars(each) for each in search(flow, q)])
