"""Before a rule goes live: what it did as a shadow."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.conditions import words_of
from dicomnode.desk.rules.draft import Draft, read_draft
from dicomnode.desk.rules.editing import put_rule
from dicomnode.desk.rules.evidence import Evidence, evidence_of
from dicomnode.desk.rules.in_force import effect_of, problem_of
from dicomnode.domain.roles import Permission
from dicomnode.domain.site import Rule
from dicomnode.flow import Flow
from dicomnode.web.access.gate import allow
from dicomnode.web.pages.rules.drafting import sentence_of, status_of
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/rules/promote", include_in_schema=False)

Writer = Annotated[Person, allow(Permission.RULES_TRY)]
Name = Annotated[str, Query(max_length=200)]


@router.get("")
def ask(request: Request, flow: TheFlow, person: Writer, name: Name) -> Response:
    """The evidence."""
    return _page(request, flow, person, name)


@router.post("")
def promote(
    request: Request, flow: TheFlow, person: Writer, name: Name, version: Annotated[int, Form(ge=0)]
) -> Response:
    """Live, in the draft."""
    document = {**_rule(read_draft(flow), name).to_document(), "state": "live"}
    try:
        put_rule(flow, person, document, version, name=name)
    except Refused as refused:
        return _page(request, flow, person, name, status_of(refused), sentence_of(refused))
    return RedirectResponse("/rules/draft", 303)


def _page(request: Request, flow: Flow, person: Person, name: str, status: int = 200, problem: str = "") -> Response:
    draft = read_draft(flow)
    rule = _rule(draft, name)
    return page(
        request,
        "rules/promote.html",
        person,
        status,
        draft=draft,
        rule=rule,
        does=effect_of(rule),
        condition=words_of(rule.when),
        evidence=_evidence(flow, rule),
        broken=problem_of(flow, rule),
        problem=problem,
    )


def _rule(draft: Draft, name: str) -> Rule:
    found = next((each for each in draft.site.rules if each.name == name), None)
    if found is None:
        raise Refused(f"the draft has no rule {name}", "missing")
    return found


def _evidence(flow: Flow, rule: Rule) -> Evidence | None:
    """Of a shadow that is in force; None where there is none of that name."""
    try:
        found = evidence_of(flow, rule.name)
    except Refused:
        return None
    return found if found.rule.state == "shadow" else None
