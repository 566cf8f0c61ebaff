"""A hospital's year in SQL, for `bench web`: series, instances, jobs, deliveries and the audit log, without a byte."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any

from sqlalchemy import Connection, Table, insert, text
from sqlalchemy.orm import DeclarativeBase

from dicomnode.db.database import Database
from dicomnode.db.models import (
    Association,
    AuditChain,
    AuditEvent,
    Delivery,
    DeliveryItem,
    Enhancement,
    Instance,
    RuleDecision,
    Series,
    SeriesFactsRow,
    SiteRevision,
    Study,
)
from dicomnode.domain.search_text import search_text

Row = Mapping[str, Any]
MODALITIES = ("CT", "CT", "CT", "MR", "MR", "DX", "US")
SENDERS = ("CT1", "CT2", "MR1", "MR2", "DX1", "US1", "US2")
STATES = ("done",) * 16 + ("withheld", "failed", "expired", "ready")
SENT = ("committed",) * 15 + ("verified", "sent", "failed", "pending", "cancelled")
ACTORS = ("node",) * 9 + ("anna",)
KINDS = (
    "association.opened", "association.closed", "series.complete", "rule.decided", "enhancement.created",
    "enhancement.claimed", "enhancement.done", "delivery.created", "delivery.sent", "patient.viewed",
)  # fmt: skip
RARE_KIND, RARE_ACTOR, RARE_NAME = "instance.conflict", "otto", "Zwölfender"
_NAMES = ("Müller^Jörg", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Smith^Anna", "Öz^Ayşe", "Dupont^Chloé")
_AT_ONCE = 20_000
_SITE = {"destinations": [{"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}]}


@dataclass(frozen=True)
class Size:
    """How many rows; the instances are shared out evenly over the series."""

    series: int
    instances: int
    events: int


def series_uid(number: int) -> str:
    """Series Instance UID of the series of that number, from 0 on."""
    return f"2.25.{10**30 + number}"


def study_uid(number: int) -> str:
    """Study Instance UID of the series of that number: two of them are a study."""
    return f"2.25.{2 * 10**30 + number // 2}"


def fill(database: Database, size: Size, told: Callable[[str], None]) -> None:
    """Fill an empty, migrated database. `told` hears which table comes next."""
    now = datetime.now(UTC)
    year = [now - timedelta(days=365 * (size.series - 1 - number) / size.series) for number in range(size.series)]
    with database.write() as session:
        connection = session.connection()
        site = {"created_at": year[0], "author": "bench", "comment": "", "document": {**_SITE, "rules": []}}
        for model, rows in (
            (SiteRevision, iter([{"number": 1, "origin": "import", "replay_id": None, "restores": None, **site}])),
            (Study, _studies(year)),
            (Series, _series(year)),
            (Association, _associations(year)),
            (SeriesFactsRow, _facts(size, year)),
            (Instance, _instances(size, year)),
            (Enhancement, _jobs(year)),
            (RuleDecision, _decisions(year)),
            (Delivery, _deliveries(year)),
            (DeliveryItem, _items(size, year)),
            (AuditEvent, _events(size, now)),
            (AuditChain, ({"seq": n, "event_id": n, "hash": f"{n:064x}"} for n in range(1, size.events + 1))),
        ):
            told(str(model.__tablename__))
            _load(connection, model, rows)
    _settle(database)


def _load(connection: Connection, model: type[DeclarativeBase], rows: Iterable[Row]) -> None:
    table = model.__table__
    assert isinstance(table, Table)
    rest = iter(rows)
    if connection.dialect.name == "sqlite":
        while some := list(islice(rest, _AT_ONCE)):
            connection.execute(insert(table), some)
        return
    first = next(rest)
    names = ", ".join(f'"{name}"' for name in first)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
        for row in chain([first], rest):
            copy.write_row([_plain(row[name]) for name in first])
    if "id" in first and not isinstance(first["id"], str):
        sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
        connection.execute(text(f'SELECT setval({sequence}, (SELECT max(id) FROM "{table.name}"))'))  # noqa: S608


def _plain(value: Any) -> Any:
    """As COPY takes it: instants in UTC without a zone, documents as JSON."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return json.dumps(value) if isinstance(value, dict | list) else value


def _settle(database: Database) -> None:
    """What autovacuum has done long since in a database that grew over a year."""
    isolated = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    if not database.is_sqlite:
        with isolated.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _studies(year: list[datetime]) -> Iterator[Row]:
    for number in range(0, len(year), 2):
        name = f"{RARE_NAME}^Hans" if number == len(year) // 2 // 2 * 2 else _NAMES[number // 2 % len(_NAMES)]
        patient, accession, words = f"P{number // 4:07d}", f"A{number // 2:08d}", f"{MODALITIES[number % 7]} study"
        yield {
            "uid": study_uid(number), "patient_id": patient, "patient_name": name, "accession_number": accession,
            "study_date": f"{year[number]:%Y%m%d}", "description": words, "first_seen_at": year[number],
            "search_text": search_text(name, patient, accession, words),
        }  # fmt: skip


def _series(year: list[datetime]) -> Iterator[Row]:
    for number, at in enumerate(year):
        words = f"series {number % 100}"
        yield {
            "uid": series_uid(number), "study_uid": study_uid(number), "modality": MODALITIES[number % 7],
            "series_number": str(number % 9), "description": words, "search_text": search_text(words),
            "calling_aet": SENDERS[number % 7], "called_aet": "DICOMNODE", "state": "complete", "generation": 1,
            "last_arrival_at": at, "due_at": None, "due_reason": "", "wait_for_aet": "", "quiet_at": None,
            "completed_at": at, "derived_by_node": False, "kept_by": "", "kept_for": "", "indexed_by": "bench",
            "purged_at": None,
        }  # fmt: skip


def _associations(year: list[datetime]) -> Iterator[Row]:
    for number, at in enumerate(year):
        yield {
            "id": f"bench-{number}", "node": "bench", "calling_aet": SENDERS[number % 7], "called_aet": "DICOMNODE",
            "peer": "127.0.0.1", "opened_at": at, "closed_at": at, "outcome": "released", "counts": {"stored": 50},
        }  # fmt: skip


def _facts(size: Size, year: list[datetime]) -> Iterator[Row]:
    count = size.instances // size.series
    for number, at in enumerate(year):
        values = [{"value": [MODALITIES[number % 7]], "count": count}]
        facts = {"attributes": {"Modality": {"vr": "CS", "absent": 0, "values": values}}, "computed": {}}
        yield {
            "series_uid": series_uid(number), "generation": 1, "completed_at": at, "reason": "bench",
            "instance_count": count, "facts": facts, "circumstances": {},
        }  # fmt: skip


def _instances(size: Size, year: list[datetime]) -> Iterator[Row]:
    for number in range(size.instances):
        series = number * size.series // size.instances
        yield {
            "sop_uid": f"2.25.{3 * 10**30 + number}", "series_uid": series_uid(series),
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2", "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "sha256": f"{number:064x}", "instance_number": number % 500, "acquisition_number": 1,
            "images_in_acquisition": None, "is_image": True, "association": f"bench-{series}",
            "calling_aet": SENDERS[series % 7], "received_at": year[series], "generation": 1,
            "container": f"bench/{series}.tar", "offset": number * 1024, "length": 1024, "purged_at": None, "fault": "",
        }  # fmt: skip


def _jobs(year: list[datetime]) -> Iterator[Row]:
    for number, at in enumerate(year):
        state = STATES[number % len(STATES)]
        over = None if state == "ready" else at
        yield {
            "id": number + 1, "key": f"{number:064x}", "series_uid": series_uid(number), "generation": 1,
            "pipeline": "ct-denoise" if number % 7 < 3 else "passthrough", "version": "1", "weights_sha256": "",
            "params": {"strength": 0.9}, "writer_profile": {}, "state": state, "priority": 1 + number % 3 // 2,
            "attempt": 1, "failures": 0, "not_before": at, "worker": "", "lease_until": None, "deadline_at": None,
            "stage": "", "verdict": "", "reason": "", "figures": [], "measured": {"seconds": 3.0},
            "rerouted_to": None, "created_at": at, "started_at": over, "finished_at": over,
        }  # fmt: skip


def _decisions(year: list[datetime]) -> Iterator[Row]:
    for number, at in enumerate(year):
        yield {
            "id": number + 1, "series_uid": series_uid(number), "generation": 1, "revision": 1, "rule": "all",
            "rule_state": "live", "matched": True, "outcome": "matches", "enhancement_id": number + 1,
            "deliver_to": ["pacs"], "explanation": {}, "decided_at": at,
        }  # fmt: skip


def _deliveries(year: list[datetime]) -> Iterator[Row]:
    for number, at in enumerate(year):
        state = SENT[number * 7 % len(SENT)]
        yield {
            "id": number + 1, "destination": "pacs", "subject": f"enhancement:{number + 1}",
            "series_uid": series_uid(number), "enhancement_id": number + 1, "rule": "all", "state": state,
            "attempts": 0, "priority": 1, "not_before": at, "node": "bench", "lease_until": None, "claim": 1,
            "confirm_at": None, "confirm_attempts": 0, "returns": 0, "confirmation": "", "reason": "",
            "created_at": at, "finished_at": None if state == "pending" else at + timedelta(seconds=4),
        }  # fmt: skip


def _items(size: Size, year: list[datetime]) -> Iterator[Row]:
    for number in range(size.instances):
        series = number * size.series // size.instances
        state = {"failed": "failed", "pending": "pending"}.get(SENT[series * 7 % len(SENT)], "sent")
        yield {
            "id": number + 1, "delivery_id": series + 1, "sop_uid": f"2.25.{4 * 10**30 + number}",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2", "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "container": f"derived/{series}.tar", "offset": number * 1024, "length": 1024, "state": state,
            "attempts": 1, "status": {"failed": 0xC000, "pending": None}.get(state, 0), "detail": "",
            "sent_at": None if state == "pending" else year[series], "confirmed_at": None, "confirmed_by": "",
        }  # fmt: skip


def _events(size: Size, now: datetime) -> Iterator[Row]:
    apart = timedelta(days=365) / size.events
    rare = {size.events // 2, size.events // 3}
    for number in range(size.events):
        series = number * size.series // size.events
        failed = number % 50 == 7
        yield {
            "id": number + 1, "at": now - apart * (size.events - number), "node": "bench",
            "actor": RARE_ACTOR if number in rare else ACTORS[number % len(ACTORS)],
            "kind": RARE_KIND if number in rare else KINDS[number % len(KINDS)],
            "outcome": "failure" if failed else "success", "study_uid": study_uid(series),
            "series_uid": series_uid(series), "subject": f"enhancement:{number % (size.events // 100) + 1}",
            "message": "something happened to a series", "detail": {"number": number},
        }  # fmt: skip
