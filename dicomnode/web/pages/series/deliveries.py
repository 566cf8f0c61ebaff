"""One delivery of a series, instance by instance."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from dicomnode.db.repositories import deliveries, delivery_list
from dicomnode.desk.refused import Refused
from dicomnode.web.pages.series.shared import Looks, Uid, url_of
from dicomnode.web.paging import LIMIT, Cursor, decode, page_of
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(include_in_schema=False)
DeliveryId = Annotated[int, Path(ge=1, le=2**62)]


@router.get("/series/{uid}/deliveries/{delivery_id}")
def delivery(
    request: Request, person: Looks, flow: TheFlow, uid: Uid, delivery_id: DeliveryId, cursor: Cursor = ""
) -> Response:
    """Every word that the destination said of each instance, page by page."""
    after = decode(cursor, int)
    with flow.database.read() as session:
        row = deliveries.find(session, delivery_id)
        if row is None or row.series_uid != uid:
            raise Refused(f"series {uid} has no delivery {delivery_id}", "missing")
        counts = delivery_list.instances(session, [delivery_id])[delivery_id]
        found = delivery_list.items(session, delivery_id, LIMIT + 1, after[0] if after else None)
    rows, onward = page_of(found, LIMIT, lambda item: (item.id,))
    here = url_of(uid, "deliveries", delivery_id)
    pages: dict[str, Any] = {
        "next_url": f"{here}?cursor={onward}" if onward else "",
        "first_url": here if cursor else "",
    }
    return page(request, "series/delivery.html", person, row=row, rows=rows, counts=counts, base=url_of(uid), **pages)
