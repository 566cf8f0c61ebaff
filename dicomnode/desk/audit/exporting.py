"""The audit log as a file: what passes the filters, oldest first, with its seals, piece by piece."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from dicomnode.audit import chain
from dicomnode.audit.events import record
from dicomnode.db.repositories import audit_search
from dicomnode.db.repositories.audit_search import Filters, Key
from dicomnode.desk.audit.asked import Asked
from dicomnode.desk.audit.searching import page
from dicomnode.desk.person import Person
from dicomnode.flow import Flow

BATCH = 1000
_FORMULA = (*"=+-@", *"\uff1d\uff0b\uff0d\uff20", "\t", "\r", "\n")
"""The second four are those of full width, which spreadsheets of East Asia take for the same."""


class Format(StrEnum):
    """What an export is written as."""

    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True)
class Export:
    """`count` events, of which `text` makes a document in pieces, in constant memory, however slowly they are taken."""

    count: int
    text: Iterator[str]


Row = dict[str, Any]


def export(flow: Flow, person: Person, asked: Asked, format: Format) -> Export:
    """What is there now and passes, as `person` may see it; nothing leaves before the event that says so is in the log.

    Raises Refused.
    """
    filters = asked.filters()
    with flow.database.write() as session:
        filters = replace(filters, last_id=audit_search.highest_id(session))
        count = audit_search.count(session, filters)
        which = ", ".join(f"{name} {text}" for name, text in asked.set().items()) or "all of it"
        message = f"{person.name} exported the audit log ({which}): {count} events"
        detail = {"filters": dict(asked.set()), "count": count, "format": format.value, "via": person.via}
        record(session, "audit.exported", message, node=flow.node, actor=person.name, detail=detail)
    chain.seal(flow.database)
    writers: dict[Format, Callable[[Iterator[list[Row]]], Iterator[str]]] = {Format.CSV: _csv, Format.JSON: _json}
    return Export(count, writers[format](_batches(flow, person, filters)))


def _batches(flow: Flow, person: Person, filters: Filters) -> Iterator[list[Row]]:
    """Each in a transaction of its own: a slow reader holds nobody up."""
    after: Key | None = None
    while True:
        with flow.database.read() as session:
            found = page(session, filters, BATCH, after, oldest_first=True)
            rows = [_plain(entry.document(person)) for entry in found.entries]
        yield rows
        if found.next is None:
            return
        after = found.next


def _plain(document: Row) -> Row:
    at: datetime = document["at"]
    return {**document, "at": at.isoformat(timespec="microseconds")}


def _json(batches: Iterator[list[Row]]) -> Iterator[str]:
    """One array, an event a line."""
    before = "[\n"
    for rows in batches:
        for row in rows:
            yield before + json.dumps(row, ensure_ascii=False)
            before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


HEADER = ("id", "at", "node", "actor", "kind", "outcome", "study_uid", "series_uid", "subject", "message", "detail",
          "masked", "seq", "hash")  # fmt: skip


def _csv(batches: Iterator[list[Row]]) -> Iterator[str]:
    """CSV (RFC 4180) with a header; the detail is JSON."""
    yield _lines([HEADER])
    for rows in batches:
        if rows:
            yield _lines([[_cell(row[name]) for name in HEADER] for row in rows])


def _lines(rows: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _cell(value: Any) -> str:
    """Text that no spreadsheet takes for a formula (CWE-1236): a leading =, +, - or @ gets a quote before it."""
    text = "" if value is None else json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
