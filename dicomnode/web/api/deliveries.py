"""Deliveries: what was sent where, instance by instance."""

from typing import Annotated, Literal

from fastapi import APIRouter

from dicomnode.desk import deliveries, queue, queue_stories
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.api.queue_details import DeliveryDetail
from dicomnode.web.api.queue_items import (
    DeliveriesAsked,
    DeliveriesRerouted,
    DeliveryDocument,
    Fitting,
    InstanceItem,
    Outcome,
)
from dicomnode.web.paging import LIMIT, Cursor, Limit, Page, decode, page_of
from dicomnode.web.queue_fields import BULK_SECONDS, Deliveries, DeliveryId, ItemState
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/deliveries", tags=["deliveries"])
Looks = Annotated[Person, allow(Permission.QUEUE)]
Operates = Annotated[Person, allow(Permission.QUEUE_OPERATE)]


@router.get("", summary="Deliveries, the newest first")
def listing(
    flow: TheFlow, person: Looks, wanted: Deliveries, limit: Limit = LIMIT, cursor: Cursor = ""
) -> Page[DeliveryDocument]:
    """With their instances by state."""
    key = decode(cursor, int)
    found = queue.deliveries(flow, wanted, limit + 1, key and key[0])
    rows, further = page_of(found, limit, lambda row: (row.delivery.id,))
    return Page(items=[DeliveryDocument.of(row) for row in rows], next=further)


@router.get("/fitting", summary="How many deliveries something would be done to")
def fitting(
    flow: TheFlow, person: Operates, wanted: Deliveries, verb: Literal["retry", "confirm", "cancel", "reroute"]
) -> Fitting:
    """To be asked before it is done to all that fit: with its `up_to`, what comes after is left alone."""
    ids = deliveries.numbers(flow, wanted, deliveries.VERBS[verb])
    return Fitting.of(ids, deliveries.VERBS[verb].states(wanted.states))


@router.post("/retry", summary="Send again what dead letters lack")
def retry(flow: TheFlow, person: Operates, asked: DeliveriesAsked) -> Outcome:
    """Without `states`: dead letters."""
    return Outcome.of(deliveries.retry(flow, person, _which(asked), BULK_SECONDS))


@router.post("/cancel", summary="Send nothing more of deliveries")
def cancel(flow: TheFlow, person: Operates, asked: DeliveriesAsked) -> Outcome:
    """The instance on the wire is the last."""
    return Outcome.of(deliveries.cancel(flow, person, _which(asked), BULK_SECONDS))


@router.post("/reroute", summary="Send to another destination what was not sent yet")
def reroute(flow: TheFlow, person: Operates, asked: DeliveriesRerouted) -> Outcome:
    """What goes there already by another rule is not sent twice."""
    return Outcome.of(deliveries.reroute(flow, person, _which(asked), asked.to, BULK_SECONDS))


@router.post("/confirm", summary="Ask destinations again whether they keep what they took")
def confirm(flow: TheFlow, person: Operates, asked: DeliveriesAsked) -> Outcome:
    """By number any that is sent; otherwise those that nobody asks about any more."""
    return Outcome.of(deliveries.confirm(flow, person, _which(asked), BULK_SECONDS))


@router.get("/{id}", summary="One delivery")
def one(flow: TheFlow, person: Looks, id: DeliveryId) -> DeliveryDetail:
    """404 for none."""
    return DeliveryDetail.of_story(queue_stories.delivery(flow, id))


@router.get("/{id}/instances", summary="The instances of a delivery")
def instances(
    flow: TheFlow, person: Looks, id: DeliveryId, state: ItemState = "", limit: Limit = LIMIT, cursor: Cursor = ""
) -> Page[InstanceItem]:
    """In the order they were planned in, each with the status that the destination gave."""
    key = decode(cursor, int)
    found = queue_stories.items(flow, id, limit + 1, key and key[0], state)
    rows, further = page_of(found, limit, lambda row: (row.id,))
    return Page(items=[InstanceItem.of(row) for row in rows], next=further)


def _which(asked: DeliveriesAsked) -> deliveries.Which:
    asked.require_one_way(asked.destination, asked.rule)
    wanted = queue.delivery_filter(asked.states, asked.destination, asked.series, asked.rule, asked.up_to)
    return asked.ids or wanted
