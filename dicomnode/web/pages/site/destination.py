"""The editor of one destination: opened from the draft, saved into the draft."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import Draft, read_draft
from dicomnode.desk.rules.editing import put_destination, remove_destination
from dicomnode.desk.rules.preview import preview_destination
from dicomnode.desk.rules.replay import start_replay
from dicomnode.domain.roles import Permission
from dicomnode.domain.site import Destination
from dicomnode.flow import Flow
from dicomnode.web.access.gate import allow
from dicomnode.web.pages.rules.form.fields import Errors, Fields, Sent, one
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/destinations", include_in_schema=False)

Writer = Annotated[Person, allow(Permission.RULES_TRY)]
Version = Annotated[int, Form(ge=0)]

_TEXTS = ("name", "ae_title", "host", "description", "confirm", "tls", "server_name")
_NUMBERS = ("port", "associations")
_TICKS = ("enabled", "rejection_notes")
_KNOWN = (*_TEXTS, *_NUMBERS, *_TICKS)
_NEW = {"kind": "dimse", "port": 104, "enabled": True, "confirm": "auto"}


@router.get("/new")
def new(request: Request, flow: TheFlow, person: Writer) -> Response:
    """An empty one."""
    return _page(request, flow, person, read_draft(flow), "", _NEW)


@router.post("/new")
def add(request: Request, flow: TheFlow, person: Writer, fields: Sent) -> Response:
    """Put it into the draft."""
    return _save(request, flow, person, "", fields)


@router.get("/{name:path}/edit")
def edit(request: Request, flow: TheFlow, person: Writer, name: str) -> Response:
    """One of the draft."""
    draft = read_draft(flow)
    return _page(request, flow, person, draft, name, _of(draft, name).model_dump())


@router.post("/{name:path}/edit")
def change(request: Request, flow: TheFlow, person: Writer, name: str, fields: Sent) -> Response:
    """Put it in its place in the draft."""
    return _save(request, flow, person, name, fields)


@router.get("/{name:path}/remove")
def ask_to_remove(request: Request, flow: TheFlow, person: Writer, name: str) -> Response:
    """Which rules name it."""
    draft = read_draft(flow)
    return page(request, "site/remove.html", person, **_removal(draft, _of(draft, name)), problem="")


@router.post("/{name:path}/remove")
def remove(request: Request, flow: TheFlow, person: Writer, name: str, version: Version) -> Response:
    """Take it out of the draft."""
    try:
        remove_destination(flow, person, name, version)
    except Refused as refused:
        draft = read_draft(flow)
        context = _removal(draft, _of(draft, name))
        return page(request, "site/remove.html", person, 409, **context, problem=str(refused))
    return RedirectResponse("/rules/draft", 303)


def _save(request: Request, flow: Flow, person: Person, name: str, fields: Fields) -> Response:
    values = _read(fields)
    version = one(fields, "version")
    document = {key: value for key, value in values.items() if value not in ("", None)}
    try:
        draft = put_destination(flow, person, document, int(version) if version.isdecimal() else -1, name=name)
    except Refused as refused:
        return _again(request, flow, person, name, values, document, refused)
    if draft.touched and not draft.diff.rules and not draft.stale:
        start_replay(flow, person, draft.site)  # no rule changes: nobody has to think of how many days
    return RedirectResponse(f"/rules/draft?{urlencode({'saved': values['name']})}", 303)


def _again(
    request: Request,
    flow: Flow,
    person: Person,
    name: str,
    values: Mapping[str, Any],
    document: Mapping[str, Any],
    refused: Refused,
) -> Response:
    """What was written stays; after a conflict the next save is meant for the draft as it is now."""
    draft = read_draft(flow)
    if refused.kind != "conflict":
        status = {"missing": 404, "invalid": 422}[refused.kind]
        return _page(request, flow, person, draft, name, values, status, **_wrong(refused))
    conflict = str(refused).rpartition(";")[0] or str(refused)
    if name and draft.site.destination(name) is None:
        conflict += f". The draft has no destination {name} any more: yours is added as a new one"
        name = ""
    changes = preview_destination(draft, document, name=name)
    return _page(request, flow, person, draft, name, values, 409, conflict=conflict, changes=changes)


def _wrong(refused: Refused) -> dict[str, Any]:
    """What the desk found, each at its field where there is one."""
    found = [(str(each["path"]), str(each["message"])) for each in refused.problems]
    return {
        "errors": Errors({path: message for path, message in found if path in _KNOWN}),
        "others": [f"{path}: {message}" for path, message in found if path not in _KNOWN],
        "problem": "" if refused.problems else str(refused).rstrip("."),
    }


def _read(fields: Fields) -> dict[str, Any]:
    """The plain document as it was typed; what is empty is not said, and what is no number stays text."""
    values: dict[str, Any] = {"kind": "dimse", **{key: one(fields, key).strip() for key in _TEXTS}}
    for key in _NUMBERS:
        text = one(fields, key).strip()
        values[key] = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    return values | {key: bool(one(fields, key)) for key in _TICKS}


def _of(draft: Draft, name: str) -> Destination:
    found = draft.site.destination(name)
    if found is None:
        raise Refused(f"the draft has no destination {name}", "missing")
    return found


def _removal(draft: Draft, destination: Destination) -> dict[str, Any]:
    name = destination.name
    users = [rule.name for rule in draft.site.rules if name in (*rule.deliver_to, *rule.forward_original_to)]
    return {
        "draft": draft,
        "destination": destination,
        "users": users,
        "address": f"/destinations/{quote(name)}/remove",
    }


def _page(
    request: Request,
    flow: Flow,
    person: Person,
    draft: Draft,
    name: str,
    values: Mapping[str, Any],
    status: int = 200,
    **more: Any,
) -> Response:
    context: dict[str, Any] = {
        "draft": draft,
        "name": name,
        "values": {key: "" if values.get(key) is None else values[key] for key in _KNOWN},
        "errors": Errors({}),
        "others": [],
        "problem": "",
        "conflict": "",
        "changes": None,
        "address": f"/destinations/{quote(name)}/edit" if name else "/destinations/new",
        "identities": sorted(flow.settings.tls),
        "networks": flow.settings.web.destination_networks,
        **more,
    }
    return page(request, "site/destination.html", person, status, **context)
