"""Searching the log: any filters, in pages, find what going through all of it finds."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.audit import chain
from dicomnode.audit.events import event, write
from dicomnode.db.database import Database
from dicomnode.db.models import Account, ApiToken, AuditEvent
from dicomnode.db.repositories import audit_search
from dicomnode.db.repositories.audit_search import Filters, Key, count, search
from dicomnode.desk.audit.asked import Asked
from dicomnode.desk.refused import Refused

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
KINDS = ("delivery.sent", "delivery.retry", "delivery.failed", "series.complete")
DELIVERY = KINDS[:3]


@pytest.fixture
def log(database: Database) -> Database:
    """90 events of every mixture, some at one instant, not in the order of their numbers; anna has two tokens."""
    draw = random.Random(7)
    with database.write() as session:
        anna = Account(name="anna", folded_name="anna", roles=["admin"], created_at=START)
        session.add(anna)
        session.flush()
        for number, name in enumerate(("ci", "old", "ci", "unused")):
            row = ApiToken(name=name, secret_sha256=str(number), account_id=anna.id, roles=["admin"], created_at=START)
            row.revoked_at = START if name == "old" else None
            session.add(row)
        write(session, *(_event(draw, number) for number in range(90)))
    return database


def _event(draw: random.Random, number: int) -> dict[str, object]:
    return event(
        draw.choice(KINDS),
        f"event {number}",
        node="n",
        at=START + timedelta(minutes=number // 3 + draw.randrange(5)),
        actor=draw.choice(["node", "node", "anna", "anna (token ci)", "anna (token old)", "anna (token)"]),
        outcome=draw.choice(["success", "success", "warning", "failure"]),
        series_uid=draw.choice([None, "1.2.1", "1.2.2"]),
        study_uid=draw.choice([None, "1.2"]),
        subject=draw.choice([None, "delivery:1", "delivery:2"]),
    )


CASES = [
    Filters(),
    Filters(kinds=("drift.alarm",)),
    Filters(actor="nobody"),
    Filters(actor="anna"),
    Filters(actor="anna (token ci)"),
    Filters(series_uid="1.2.1", actor="anna"),
    Filters(outcome="failure"),
    Filters(outcome="success", actor="node"),
    Filters(kinds=DELIVERY),
    Filters(kinds=DELIVERY, outcome="warning"),
    Filters(kinds=DELIVERY, actor="anna", outcome="success"),
    Filters(kinds=DELIVERY, actor="node"),
    Filters(kinds=("series.complete",), actor="anna"),
    Filters(series_uid="1.2.1", kinds=DELIVERY),
    Filters(study_uid="1.2", subject="delivery:2"),
    Filters(since=START + timedelta(minutes=8), until=START + timedelta(minutes=20)),
    Filters(since=START + timedelta(minutes=8), until=START + timedelta(minutes=20), outcome="failure", kinds=DELIVERY),
    Filters(last_id=40, actor="node"),
]


def passes(row: AuditEvent, asked: Filters) -> bool:
    same = ("outcome", "study_uid", "series_uid", "subject")
    return (
        (asked.actor in ("", row.actor) or (asked.actor == "anna" and row.actor.startswith("anna (token ")))
        and all(not getattr(asked, name) or getattr(row, name) == getattr(asked, name) for name in same)
        and (not asked.kinds or row.kind in asked.kinds)
        and (asked.since is None or row.at >= asked.since)
        and (asked.until is None or row.at < asked.until)
        and (asked.last_id is None or row.id <= asked.last_id)
    )


def every_page(database: Database, asked: Filters, limit: int, *, oldest_first: bool = False) -> list[int]:
    found: list[int] = []
    after: Key | None = None
    for _ in range(1000):
        with database.read() as session:
            page = search(session, asked, limit, after, oldest_first=oldest_first)
        found += [row.id for row in page.events]
        if page.next is None:
            return found
        assert after is None or (page.next > after if oldest_first else page.next < after), "it comes on"
        after = page.next
    raise AssertionError("no end")


@pytest.mark.parametrize(("looked_at", "limit", "branches"), [(10_000, 20, 100), (12, 5, 100), (12, 5, 2)])
def test_every_filter_finds_what_going_through_all_finds(
    log: Database, monkeypatch: pytest.MonkeyPatch, looked_at: int, limit: int, branches: int
) -> None:
    monkeypatch.setattr(audit_search, "LOOKED_AT", looked_at)
    monkeypatch.setattr(audit_search, "MOST_BRANCHES", branches)
    with log.read() as session:
        ordered = sorted(session.query(AuditEvent), key=lambda row: (row.at, row.id))
        for asked in CASES:
            wanted = [row.id for row in ordered if passes(row, asked)]
            assert count(session, asked) == len(wanted)
            assert every_page(log, asked, limit, oldest_first=True) == wanted, asked
            assert every_page(log, asked, limit) == wanted[::-1], asked


def test_seals_come_with_their_events(log: Database) -> None:
    chain.seal(log)
    with log.read() as session:
        found = audit_search.links(session, [5, 6])
    assert {id: link.seq for id, link in found.items()} == {5: 5, 6: 6}


def test_a_group_is_all_of_its_kinds_and_a_day_is_a_whole_one() -> None:
    found = Asked(kind="jobs", since="2026-03-01", until="2026-03-01").filters()
    assert found.kinds == ("jobs.paused", "jobs.resumed")
    assert found.since is not None
    assert found.until is not None
    assert found.until - found.since == timedelta(days=1)
    assert Asked(since="2026-03-01T08:00:00+02:00").filters().since == datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "asked",
    [Asked(kind="nonsense"), Asked(kind="deliver"), Asked(since="yesterday"), Asked(until="2026-02-31"),
     Asked(until="9999-12-31"), Asked(since="0001-01-01T00:00:00+14:00"), Asked(actor="a\0b")],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused(asked: Asked) -> None:
    with pytest.raises(Refused):
        asked.filters()


def test_searches_of_a_large_log_use_an_index(database: Database, tmp_path: Path) -> None:
    """SQLite plans by what is asked alone, however few rows there are."""
    if not database.is_sqlite:
        return
    with database.read() as session:
        for asked in (*CASES, Filters(actor="anna", programs=("anna (token ci)", "anna (token old)"))):
            walk = audit_search._Search(asked, (START, 5), False, 50)
            for branch in walk.branches:
                statement = str(
                    walk._walk(branch).limit(9).compile(database.engine, compile_kwargs={"literal_binds": True})
                )
                plan = [row[-1] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
                assert not [step for step in plan if step.startswith("SCAN audit_event") and "INDEX" not in step], plan
