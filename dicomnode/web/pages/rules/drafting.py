"""The draft: what it changes, its rules and destinations, how it is tried, and how it comes in force."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import Draft, discard_draft, read_draft
from dicomnode.desk.rules.editing import move_rule, put_rule, remove_rule, restore_rule
from dicomnode.desk.rules.in_force import effect_of, problem_of
from dicomnode.desk.rules.merge import Prefer, rebase
from dicomnode.desk.rules.publish import publish
from dicomnode.desk.rules.replay import DAYS, MOST_DAYS, start_replay
from dicomnode.domain.roles import Permission
from dicomnode.domain.states import RULE
from dicomnode.flow import Flow
from dicomnode.web.access.gate import allow
from dicomnode.web.pages.rules.trying import about_trial
from dicomnode.web.queue_fields import NO_NUL
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/rules/draft", include_in_schema=False)

Reader = Annotated[Person, allow(Permission.RULES)]
Writer = Annotated[Person, allow(Permission.RULES_TRY)]
Publisher = Annotated[Person, allow(Permission.RULES_PUBLISH)]
Version = Annotated[int, Form(ge=0)]
Name = Annotated[str, Form(max_length=200)]
_WHY = "Say in a few words why: the comment is kept with the revision."


@router.get("")
def draft(
    request: Request,
    flow: TheFlow,
    person: Reader,
    saved: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """All of it on one page."""
    return show(request, flow, person, saved=saved)


@router.post("/remove")
def remove(request: Request, flow: TheFlow, person: Writer, version: Version, name: Name) -> Response:
    """Take a rule out."""
    return _change(request, flow, person, version, lambda: remove_rule(flow, person, name, version))


@router.post("/restore")
def restore(request: Request, flow: TheFlow, person: Writer, version: Version, name: Name) -> Response:
    """Have a rule again as it was before the draft."""
    return _change(request, flow, person, version, lambda: restore_rule(flow, person, name, version))


@router.post("/move")
def move(
    request: Request, flow: TheFlow, person: Writer, version: Version, name: Name, place: Annotated[int, Form(ge=0)]
) -> Response:
    """Put a rule at another place."""
    return _change(request, flow, person, version, lambda: move_rule(flow, person, name, place, version))


@router.post("/state")
def state(
    request: Request,
    flow: TheFlow,
    person: Writer,
    version: Version,
    name: Name,
    to: Annotated[str, Form(alias="state", max_length=20)],
) -> Response:
    """Have a rule as a draft, a shadow or live."""
    rule = next((each for each in read_draft(flow).site.rules if each.name == name), None)
    if rule is None:
        raise Refused(f"the draft has no rule {name}", "missing")
    document = {**rule.to_document(), "state": to}
    return _change(request, flow, person, version, lambda: put_rule(flow, person, document, version, name=name))


@router.get("/discard")
def ask_to_discard(request: Request, flow: TheFlow, person: Writer) -> Response:
    """What would be lost."""
    return page(request, "rules/discard.html", person, draft=read_draft(flow))


@router.post("/discard")
def discard(request: Request, flow: TheFlow, person: Writer, version: Version) -> Response:
    """Throw the draft away."""
    return _change(request, flow, person, version, lambda: discard_draft(flow, person, version), "/rules")


@router.post("/rebase")
def bring_together(
    request: Request,
    flow: TheFlow,
    person: Writer,
    version: Version,
    prefer: Annotated[Prefer, Form()] = "",
) -> Response:
    """Bring the draft together with the revision that came in force under it."""
    return _change(request, flow, person, version, lambda: rebase(flow, person, version, prefer), both_changed=True)


@router.post("/replay")
def replay(
    request: Request,
    flow: TheFlow,
    person: Writer,
    version: Version,
    days: Annotated[int, Form(ge=1, le=MOST_DAYS)] = DAYS,
) -> Response:
    """Have the draft that was on the page tried on the last days."""

    def start() -> None:
        draft = read_draft(flow)
        if draft.version != version:
            raise Refused(f"{draft.author} changed the draft meanwhile: look at it, then replay it", "conflict")
        start_replay(flow, person, draft.site, days=days)

    return _change(request, flow, person, version, start, "/rules/draft#trial")


@router.post("/publish")
def put_in_force(
    request: Request,
    flow: TheFlow,
    person: Publisher,
    version: Version,
    comment: Annotated[str, Form(max_length=2000, pattern=NO_NUL)] = "",
) -> Response:
    """Make it the next revision."""
    if not comment.strip():
        return show(request, flow, person, 422, version, _WHY)
    try:
        done = publish(flow, person, version, comment.strip())
    except Refused as refused:
        return show(request, flow, person, status_of(refused), version, sentence_of(refused), comment=comment)
    return RedirectResponse(f"/rules/revisions/{done.number}?{urlencode({'published': 1})}", 303)


def _change(
    request: Request,
    flow: Flow,
    person: Person,
    version: int,
    change: Callable[[], object],
    to: str = "/rules/draft",
    **more: Any,
) -> Response:
    """Do it and go on, or show the draft as it is now with the reason why not."""
    try:
        change()
    except Refused as refused:
        return show(request, flow, person, status_of(refused), version, sentence_of(refused), **more)
    return RedirectResponse(to, 303)


def status_of(refused: Refused) -> int:
    """Of the answer."""
    return {"missing": 404, "conflict": 409, "invalid": 422}[refused.kind]


def sentence_of(refused: Refused) -> str:
    """The reason; of a document that is refused the findings themselves."""
    found = "; ".join(str(each.get("message", "")).rstrip(".") for each in refused.problems)
    text = found if found and refused.kind == "invalid" else str(refused)
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def show(
    request: Request,
    flow: Flow,
    person: Person,
    status: int = 200,
    version: int | None = None,
    problem: str = "",
    **more: Any,
) -> Response:
    """The page of the draft; with the problem of what was asked for, where it was not done.

    `version` is the draft's that was on the page: if it is another one now, somebody was quicker.
    """
    draft = read_draft(flow)
    quicker = version is not None and version != draft.version
    context = {"saved": "", "both_changed": False, "problem": problem, "quicker": quicker, **more}
    return page(
        request,
        "rules/draft.html",
        person,
        status,
        rules=[_row(flow, draft, place) for place in range(len(draft.site.rules))],
        removed=[entry.name for entry in draft.diff.rules if entry.kind == "removed"],
        **about_trial(flow, draft) | context,
    )


def _row(flow: Flow, draft: Draft, place: int) -> dict[str, Any]:
    rule = draft.site.rules[place]
    onward = [arrow.after for arrow in RULE.arrows if arrow.before == rule.state]
    return {
        "rule": rule,
        "does": effect_of(rule),
        "problem": problem_of(flow, rule),
        "onward": onward,
        "changed": next((entry.kind for entry in draft.diff.rules if entry.name == rule.name), ""),
        "first": place == 0,
        "last": place == len(draft.site.rules) - 1,
        "place": place,
    }
