"""Jobs and deliveries in SQL as a node leaves them, for pages and the API to show and move."""

from datetime import UTC, datetime, timedelta
from typing import Any

from support.ledger import SERIES, with_series

from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery, DeliveryItem, Enhancement
from dicomnode.db.repositories import site as site_rows
from dicomnode.flow import Flow

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def add_site(flow: Flow, *destinations: dict[str, Any]) -> None:
    """A site of these destinations, without rules."""
    with flow.database.write() as session:
        document = {"destinations": list(destinations), "rules": []}
        site_rows.add(session, document, "a test", "", database_now(session))


def pacs(name: str = "pacs", host: str = "127.0.0.1", port: int = 11199, **more: Any) -> dict[str, Any]:
    """A destination as a site has it."""
    return {"name": name, "kind": "dimse", "ae_title": name.upper(), "host": host, "port": port, **more}


def job(number: int, state: str = "failed", **columns: Any) -> Enhancement:
    """A job of the one series that there is."""
    given: dict[str, Any] = {
        "key": f"key-{number}",
        "series_uid": SERIES,
        "generation": 1,
        "pipeline": "ct-denoise",
        "version": "1",
        "weights_sha256": "",
        "params": {},
        "writer_profile": {},
        "priority": 1,
        "not_before": NOW,
        "created_at": NOW + timedelta(seconds=number),
        "worker": "n/cpu" if state == "running" else "",
    }
    return Enhancement(state=state, **{**given, **columns})


def delivery(number: int, state: str = "failed", **columns: Any) -> Delivery:
    """A delivery of originals, each of a subject of its own."""
    given: dict[str, Any] = {
        "destination": "pacs",
        "subject": f"series:{number}",
        "series_uid": SERIES,
        "rule": "forward",
        "not_before": NOW,
        "created_at": NOW + timedelta(seconds=number),
    }
    return Delivery(state=state, **{**given, **columns})


def item(of: Delivery, number: int, state: str = "failed", status: int | None = 0xA900, **columns: Any) -> DeliveryItem:
    """An instance of a delivery that has its number already."""
    given: dict[str, Any] = {
        "sop_uid": f"1.2.3.{of.id}.{number}",
        "sop_class_uid": CT,
        "transfer_syntax_uid": EXPLICIT,
        "container": "c.tar",
        "offset": 0,
        "length": 100,
        "detail": "A900: not what its SOP class demands (PS3.4 B.2.3)" if status == 0xA900 else "",
    }
    return DeliveryItem(delivery_id=of.id, state=state, status=status, **{**given, **columns})


def fill(database: Database, jobs: list[Enhancement], deliveries: list[Delivery] = [], instances: int = 2) -> None:  # noqa: B006
    """The series, these jobs, and these deliveries with so many instances each, in their delivery's state."""
    with with_series(database).write() as session:
        session.add_all([*jobs, *deliveries])
        session.flush()
        for row in deliveries:
            state = {"failed": "failed", "cancelled": "pending"}.get(row.state, row.state)
            state = {"sending": "pending", "verified": "sent", "committed": "sent"}.get(state, state)
            status = {"failed": 0xA900, "sent": 0, "pending": None}[state]
            session.add_all(item(row, number, state, status) for number in range(instances))
