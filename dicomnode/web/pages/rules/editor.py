"""The editor of one rule: opened from the draft, saved into the draft. Every button is a round trip of the form."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.diff import SiteDiff
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.editing import preview_rule, put_rule
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.pages.rules.form.fields import Errors, Sent, one
from dicomnode.web.pages.rules.form.rule import PARAMS, PIPELINE, WRITER, WRITER_WIDGETS, widgets_of
from dicomnode.web.pages.rules.form.schema import Widget
from dicomnode.web.pages.rules.sheet import Sheet, schemas
from dicomnode.web.pages.rules.words import Words, search
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/rules", include_in_schema=False)

Writer = Annotated[Person, allow(Permission.RULES_TRY)]
Name = Annotated[str, Query(max_length=200)]


@router.get("/new")
def new(request: Request, flow: TheFlow, person: Writer) -> Response:
    """An empty rule."""
    return _page(request, person, Sheet.opened(flow, read_draft(flow), ""))


@router.post("/new")
def write_new(request: Request, flow: TheFlow, person: Writer, fields: Sent) -> Response:
    """A button of the new rule's form."""
    return _act(request, flow, person, "", fields)


@router.get("/edit")
def edit(request: Request, flow: TheFlow, person: Writer, name: Name) -> Response:
    """A rule of the draft."""
    return _page(request, person, Sheet.opened(flow, read_draft(flow), name))


@router.post("/edit")
def write(request: Request, flow: TheFlow, person: Writer, name: Name, fields: Sent) -> Response:
    """A button of its form."""
    return _act(request, flow, person, name, fields)


def _act(request: Request, flow: TheFlow, person: Person, name: str, fields: Sent) -> Response:
    sheet = Sheet.sent(flow, read_draft(flow), name, fields)
    action = one(fields, "action", "check")
    if action != "save":
        sheet.act(action)
        return _page(request, person, sheet)
    document = sheet.check()
    if document is None:
        return _page(request, person, sheet, 422)
    try:
        put_rule(flow, person, document, sheet.version, name=name)
    except Refused as refused:
        return _again(request, person, sheet, document, refused)
    return RedirectResponse(f"/rules/draft?{urlencode({'saved': str(document['name'])})}", 303)


def _again(request: Request, person: Person, sheet: Sheet, document: Mapping[str, Any], refused: Refused) -> Response:
    """What was written stays; after a conflict the next save is meant for the draft as it is now."""
    if refused.kind == "conflict":
        conflict = f"{str(refused).rpartition(';')[0] or refused}."
        sheet.version = sheet.draft.version
        if sheet.name and sheet.name not in {rule.name for rule in sheet.draft.site.rules}:
            conflict += f" The draft has no rule {sheet.name} any more: yours is added as a new one."
            sheet.name = ""
        return _page(request, person, sheet, 409, conflict=conflict, changes=_preview(sheet, document))
    sheet.refuse(refused)
    return _page(request, person, sheet, 422)


def _preview(sheet: Sheet, document: Mapping[str, Any]) -> SiteDiff | None:
    """What the next save would change; None where it would be refused, which it says itself."""
    try:
        return preview_rule(sheet.flow, document, name=sheet.name)
    except Refused:
        return None


def _page(request: Request, person: Person, sheet: Sheet, status: int = 200, **more: Any) -> Response:
    form = sheet.form
    pipeline = form.text(PIPELINE)
    shown = widgets_of(pipeline, schemas(sheet.flow)) if pipeline else []
    errors = {finding.field: finding.message for finding in sheet.findings if finding.field}
    context: dict[str, Any] = {
        "sheet": sheet,
        "form": form,
        "address": f"/rules/edit?{urlencode({'name': sheet.name})}" if sheet.name else "/rules/new",
        "errors": Errors(errors),
        "conflict": "",
        "changes": None,
        "words": Words(sheet.flow),
        "known": search(sheet.flow, ""),
        "pipelines": list(sheet.flow.registry),
        "widgets": shown,
        "writer": WRITER_WIDGETS,
        "destinations": [each.name for each in sheet.draft.site.destinations],
        "marked": _marked(sheet),
        "opened": lambda inner: any(form.text(each.name(PARAMS)) or each.name(PARAMS) in errors for each in inner),
        "writer_open": _any_said(form, WRITER_WIDGETS) or any(name.startswith(WRITER) for name in errors),
        **_places(errors, shown),
        **more,
    }
    return page(request, "rules/editor.html", person, status, **context)


def _any_said(form: Any, widgets: Any) -> bool:
    return any(form.text(each.name(WRITER)) for each in widgets) or bool(form.text(WRITER))


def _places(errors: dict[str, str], shown: list[Widget]) -> dict[str, Any]:
    """What the list of findings calls a field, and where its link leads."""
    names = {"deliver_to": "Deliver to", "forward_original_to": "Forward to", "deadline_minutes": "Deadline"}
    names |= {each.name(PARAMS): each.label for each in shown}
    for name in errors:
        if name.startswith("when"):
            place = ".".join(str(int(step) + 1) for step in name.split(".")[1:-1])
            names[name] = f"Condition {place}" if place else "Condition"
    anchors = {name: f"{name}.0" for name in errors if name.startswith("when") and name.endswith(".value")}
    return {"names": _Names(names), "anchors": anchors, "fields": set(errors)}


class _Names(dict[str, str]):
    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name) or name.replace("_", " ").replace(".", " ").capitalize()


def _marked(sheet: Sheet) -> list[tuple[int, str, list[str]]]:
    """The lines of the YAML around those that have a problem, with their problems."""
    found: dict[int, list[str]] = {}
    for finding in sheet.findings:
        if finding.line:
            found.setdefault(finding.line, []).append(finding.message)
    lines = (sheet.yaml or "").split("\n")
    near = sorted({n for line in found for n in range(line - 2, line + 3) if 1 <= n <= len(lines)})
    return [(number, lines[number - 1], found.get(number, [])) for number in near]
