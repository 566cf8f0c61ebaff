"""The list of deliveries, and one delivery with its instances."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from dicomnode.db.repositories.delivery_list import DeliveryFilter
from dicomnode.desk import queue, queue_stories
from dicomnode.desk.person import Person
from dicomnode.desk.status_words import words_of
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.pages.queue.said import Done, Verb, said_of
from dicomnode.web.paging import LIMIT, Cursor, decode, page_of
from dicomnode.web.queue_fields import Deliveries, DeliveryId, ItemState
from dicomnode.web.rendering import is_part, page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/queue/deliveries", include_in_schema=False)
Looks = Annotated[Person, allow(Permission.QUEUE)]


@router.get("")
def listing(
    request: Request,
    flow: TheFlow,
    person: Looks,
    wanted: Deliveries,
    cursor: Cursor = "",
    verb: Verb = "",
    done: Done = 0,
) -> Response:
    """Deliveries, the newest first; as a part, the table alone."""
    key = decode(cursor, int)
    found = queue.deliveries(flow, wanted, LIMIT + 1, key and key[0])
    rows, further = page_of(found, LIMIT, lambda row: (row.delivery.id,))
    shown: dict[str, Any] = {"rows": rows, "query": query_of(wanted), "next": further, "cursor": cursor}
    if is_part(request):
        return page(request, "queue/_deliveries.html", person, **shown)
    return page(
        request,
        "queue/deliveries.html",
        person,
        wanted=wanted,
        choices=queue.choices(flow),
        states=queue.DELIVERY_STATES,
        said=said_of("delivery", verb, done),
        **shown,
    )


@router.get("/{id}")
def one(
    request: Request,
    flow: TheFlow,
    person: Looks,
    id: DeliveryId,
    state: ItemState = "",
    cursor: Cursor = "",
    verb: Verb = "",
    done: Done = 0,
) -> Response:
    """A delivery: every instance with the status that the destination gave, and what that means."""
    story = queue_stories.delivery(flow, id)
    key = decode(cursor, int)
    found = queue_stories.items(flow, id, LIMIT + 1, key and key[0], state)
    rows, further = page_of(found, LIMIT, lambda item: (item.id,))
    shown: dict[str, Any] = {
        "story": story,
        "items": [(item, words_of(item.status, item.detail)) for item in rows],
        "next": further,
        "cursor": cursor,
        "state": state,
    }
    if is_part(request):
        return page(request, "queue/_delivery.html", person, **shown)
    names = queue.choices(flow).destinations if story.possible else []
    return page(request, "queue/delivery.html", person, names=names, said=said_of("delivery", verb, done), **shown)


def query_of(wanted: DeliveryFilter) -> dict[str, str]:
    """The filter as names and values of a query string."""
    named = {"destination": wanted.destination, "series": wanted.series, "rule": wanted.rule}
    found = {key: value for key, value in named.items() if value}
    return found | {"state": wanted.states[0]} if wanted.states else found
