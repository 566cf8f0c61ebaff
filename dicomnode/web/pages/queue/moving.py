"""Retry, cancel, re-route, ask again: what was chosen in a list, or all that fit, once seen how many that is."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field

from dicomnode.desk import deliveries, jobs, queue
from dicomnode.desk.bulk import Result
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain.roles import Permission
from dicomnode.flow import Flow
from dicomnode.web.access.gate import allow
from dicomnode.web.pages.queue import deliveries as delivery_pages
from dicomnode.web.pages.queue import jobs as job_pages
from dicomnode.web.pages.queue.said import PATHS, WORDS, address_of, answer, counted
from dicomnode.web.queue_fields import BULK_SECONDS, Deliveries, Jobs, Number
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/queue", include_in_schema=False)
Operates = Annotated[Person, allow(Permission.QUEUE_OPERATE)]
JobVerb = Literal["retry", "cancel", "reroute"]
DeliveryVerb = Literal["retry", "cancel", "reroute", "confirm"]
Text = Annotated[str, Field(max_length=200)]


class _Asked(BaseModel):
    """What is to be done, and to which rows: those of `id`, or, with `fitting`, all that fit up to the row `up_to`.

    `one`: it was asked on the page of that row. `to`: for a re-route.
    """

    verb: str
    id: list[Number] = Field([], max_length=10_000)
    fitting: bool = False
    up_to: Number | None = None
    one: Number | None = None
    to: Text = ""
    state: Text = ""
    series: Text = ""

    def require_rows(self, noun: str) -> None:
        """Refuse where nothing was chosen, or no destination of a re-route."""
        if not self.fitting and not self.id:
            raise Refused(f"nothing was chosen: tick at least one {noun}, or do it to all that fit the filter")
        if self.verb == "reroute" and not self.to:
            raise Refused("say where it is to go instead")


class JobsAsked(_Asked):
    """To jobs."""

    verb: JobVerb
    pipeline: Text = ""
    node: Text = ""
    priority: Text = ""


class DeliveriesAsked(_Asked):
    """To deliveries."""

    verb: DeliveryVerb
    destination: Text = ""
    rule: Text = ""


@router.get("/confirm")
def ask_jobs(
    request: Request, flow: TheFlow, person: Operates, wanted: Jobs, verb: Annotated[JobVerb, Query()]
) -> Response:
    """How many jobs that is about."""
    ids = jobs.numbers(flow, wanted, jobs.VERBS[verb])
    usable = queue.choices(flow).usable if verb == "reroute" else []
    query = job_pages.query_of(wanted)
    return _confirm(request, person, "job", verb, ids, query, usable, jobs.VERBS[verb].states(wanted.states))


@router.get("/deliveries/confirm")
def ask_deliveries(
    request: Request, flow: TheFlow, person: Operates, wanted: Deliveries, verb: Annotated[DeliveryVerb, Query()]
) -> Response:
    """How many deliveries that is about."""
    ids = deliveries.numbers(flow, wanted, deliveries.VERBS[verb])
    names = queue.choices(flow).destinations if verb == "reroute" else []
    query = delivery_pages.query_of(wanted)
    return _confirm(request, person, "delivery", verb, ids, query, names, deliveries.VERBS[verb].states(wanted.states))


@router.post("/act")
def act_on_jobs(request: Request, flow: TheFlow, person: Operates, asked: Annotated[JobsAsked, Form()]) -> Response:
    """Do it."""
    asked.require_rows("job")
    states = [asked.state] if asked.state else []
    wanted = queue.job_filter(states, asked.pipeline, asked.series, asked.node, asked.priority, asked.up_to)
    result = _to_jobs(flow, person, asked, wanted if asked.fitting else asked.id)
    query = job_pages.query_of(wanted)
    return answer(request, person, "job", asked.verb, result, query, one=asked.one, form=_again(asked, query))


@router.post("/deliveries/act")
def act_on_deliveries(
    request: Request, flow: TheFlow, person: Operates, asked: Annotated[DeliveriesAsked, Form()]
) -> Response:
    """Do it."""
    asked.require_rows("delivery")
    states = [asked.state] if asked.state else []
    wanted = queue.delivery_filter(states, asked.destination, asked.series, asked.rule, asked.up_to)
    result = _to_deliveries(flow, person, asked, wanted if asked.fitting else asked.id)
    query = delivery_pages.query_of(wanted)
    return answer(request, person, "delivery", asked.verb, result, query, one=asked.one, form=_again(asked, query))


def _to_jobs(flow: Flow, person: Person, asked: JobsAsked, which: jobs.Which) -> Result:
    if asked.verb == "reroute":
        return jobs.reroute(flow, person, which, asked.to, {}, BULK_SECONDS)
    return (jobs.retry if asked.verb == "retry" else jobs.cancel)(flow, person, which, BULK_SECONDS)


def _to_deliveries(flow: Flow, person: Person, asked: DeliveriesAsked, which: deliveries.Which) -> Result:
    if asked.verb == "reroute":
        return deliveries.reroute(flow, person, which, asked.to, BULK_SECONDS)
    acts = {"retry": deliveries.retry, "cancel": deliveries.cancel, "confirm": deliveries.confirm}
    return acts[asked.verb](flow, person, which, BULK_SECONDS)


def _again(asked: _Asked, query: dict[str, str]) -> dict[str, str | int] | None:
    """The form that goes on with what is left: those done no longer fit, as their state is another."""
    if not asked.fitting:
        return None
    given = {"verb": asked.verb, "fitting": "true", "to": asked.to, "up_to": asked.up_to}
    return {**query, **{name: value for name, value in given.items() if value}}


def _confirm(
    request: Request,
    person: Person,
    noun: str,
    verb: str,
    ids: Sequence[int],
    query: dict[str, str],
    choices: Sequence[str],
    states: tuple[str, ...],
) -> Response:
    return page(
        request,
        "queue/confirm.html",
        person,
        noun=noun,
        verb=verb,
        becomes=WORDS[noun][verb],
        count=len(ids),
        counted=counted(noun, len(ids)),
        up_to=max(ids, default=0),
        query=query,
        states=states,
        choices=choices,
        path=PATHS[noun],
        back=address_of(PATHS[noun], query),
    )
