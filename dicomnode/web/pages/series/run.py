"""Having a pipeline run on a series by hand: which, with which parameters, and where its result goes."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.series import acting
from dicomnode.desk.series.choices import choices
from dicomnode.domain.priority import PRIORITIES
from dicomnode.flow import Flow
from dicomnode.flow.enhancing.asked import Asked
from dicomnode.web.pages.rules.form.fields import Fields, Sent, one
from dicomnode.web.pages.rules.form.schema import Widget, params_of, widgets
from dicomnode.web.pages.series.shared import Runs, Uid, url_of
from dicomnode.web.problem import STATUS
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)
PREFIX = "params"


class _Filled:
    """What was sent, as the fields of the form ask for it."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        return one(self._fields, name)


@router.get("/series/{uid}/run")
def choose(
    request: Request, person: Runs, flow: TheFlow, uid: Uid, pipeline: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """First the pipelines, with why some decline; then the one that was chosen, with its parameters."""
    return _form(request, person, flow, uid, {"pipeline": [pipeline]})


@router.post("/series/{uid}/run")
def run(request: Request, person: Runs, flow: TheFlow, uid: Uid, fields: Sent) -> Response:
    """Enter the work, and go back to the story; or say what is wrong, and lose nothing of the form."""
    errors: dict[str, str] = {}
    pipeline = one(fields, "pipeline")
    params = params_of(fields, _widgets(flow, pipeline), PREFIX, errors.__setitem__)
    if errors:
        return _form(request, person, flow, uid, fields, errors, status=422)
    asked = Asked(pipeline, params, tuple(fields.get("to", ())), one(fields, "priority", "normal"))
    try:
        acting.run(flow, person, uid, asked)
    except Refused as refused:
        if refused.kind == "missing":
            raise
        return _form(request, person, flow, uid, fields, refusal=str(refused), status=STATUS[refused.kind])
    return RedirectResponse(url_of(uid), 303)


def _form(
    request: Request,
    person: Person,
    flow: Flow,
    uid: str,
    fields: Fields,
    errors: Mapping[str, str] | None = None,
    *,
    refusal: str = "",
    status: int = 200,
) -> Response:
    return page(
        request,
        "series/run.html",
        person,
        status,
        choices=choices(flow, uid),
        base=url_of(uid),
        chosen=one(fields, "pipeline"),
        widgets=_widgets(flow, one(fields, "pipeline")),
        form=_Filled(fields),
        to=tuple(fields.get("to", ())),
        priorities=tuple(PRIORITIES),
        errors=errors or {},
        refusal=refusal,
    )


def _widgets(flow: Flow, pipeline: str) -> list[Widget]:
    model = flow.registry.params_models().get(pipeline)
    return widgets(model.model_json_schema()) if model else []
