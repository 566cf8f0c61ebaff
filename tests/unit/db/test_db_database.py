"""Units of work on both databases: no update is lost, views hold still, times keep their zone, the clock is theirs."""

import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, StatementError
from structlog.testing import capture_logs

from dicomnode.db.clock import Clock
from dicomnode.db.database import Database, now
from dicomnode.db.models import Container, SiteRevision, Study
from dicomnode.observe import Loop


def test_many_writers_that_lock_what_they_read_lose_no_update(database: Database) -> None:
    with database.write() as session:
        session.add(Container(name="c", node="n", indexed_to=0))

    def count_up() -> None:
        for _ in range(20):
            with database.write() as session:
                row = session.get_one(Container, "c", with_for_update=True)
                row.indexed_to += 1

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.get_one(Container, "c").indexed_to == 80


def test_what_is_read_in_one_unit_of_work_holds_still(database: Database) -> None:
    with database.write() as session:
        session.add(Container(name="c", node="n", indexed_to=0))
    query = select(Container.indexed_to)
    with database.read() as reading:
        assert reading.scalar(query) == 0
        with database.write() as session:
            session.get_one(Container, "c").indexed_to = 1
        assert reading.scalar(query) == 0
    with database.read() as reading:
        assert reading.scalar(query) == 1


def test_a_failed_unit_of_work_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.add(Container(name="c", node="n", indexed_to=0))
            session.flush()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    with database.read() as session:
        assert session.get(Container, "c") is None


def test_what_goes_wrong_quotes_no_patient(database: Database) -> None:
    """Neither the values of the statement (SQLAlchemy's words) nor those of the row (PostgreSQL's DETAIL)."""
    about = dict.fromkeys(("accession_number", "study_date", "description"), "")
    study = {"uid": "2.25.1", "first_seen_at": datetime.now(UTC), **about}

    def twice() -> bool:
        with database.write() as session:
            session.add(Study(**study, patient_id="ID-4711", patient_name="MUSTERFRAU^ERIKA"))
            session.flush()
            session.expunge_all()
            session.add(Study(**study, patient_id="ID-4711", patient_name="MUSTERFRAU^ERIKA"))
        return False

    with pytest.raises(IntegrityError) as failure:
        twice()
    assert "MUSTERFRAU" not in str(failure.value)
    loop = Loop("twice", 0.0, twice)
    with capture_logs() as said:
        loop.start()
        while not said:
            time.sleep(0.01)
        loop.stop()
    assert said[0]["error"] == loop.trouble
    assert loop.trouble.startswith("IntegrityError: ")
    assert "\n" not in loop.trouble
    assert "MUSTERFRAU" not in loop.trouble


def test_instants_come_back_in_utc_and_naive_ones_are_refused(database: Database) -> None:
    tokyo = datetime(2026, 5, 1, 9, 0, tzinfo=timezone(timedelta(hours=9)))
    with database.write() as session:
        session.add(SiteRevision(created_at=tokyo, author="a", comment="", document={}))
    with database.read() as session:
        assert session.scalars(select(SiteRevision)).one().created_at == datetime(2026, 5, 1, 0, 0, tzinfo=UTC)
    with pytest.raises(StatementError, match="without a time zone"), database.write() as session:
        session.add(SiteRevision(created_at=datetime(2026, 5, 1), author="a", comment="", document={}))


def test_the_database_clock_is_utc_now(database: Database) -> None:
    slack = timedelta(seconds=2)
    before = datetime.now(UTC)
    with database.read() as session:
        found = now(session)
    assert before - slack < found < datetime.now(UTC) + slack


def test_the_database_clock_goes_on_inside_a_unit_of_work(database: Database) -> None:
    with database.write() as session:
        first = now(session)
        time.sleep(0.01)
        later, after = session.execute(select(Clock(), Clock(90.5))).one()
        assert later > first
        assert after - later == timedelta(seconds=90.5)


def test_a_document_comes_back_as_it_went_in(database: Database) -> None:
    document = {"text": "Ä \u2028", "list": [1, 2.5, None, True], "deep": {"b": 1, "a": {}}, "large": 2**53 - 1}
    with database.write() as session:
        session.add(SiteRevision(created_at=now(session), author="a", comment="", document=document))
    with database.read() as session:
        assert session.scalars(select(SiteRevision)).one().document == document
