"""The tally against counting anew: it may ask SQL too often, never too seldom."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.orm import Session

from dicomnode.complete import tally
from dicomnode.complete.tally import Arrival, Count, Tally
from dicomnode.db.database import Database
from dicomnode.db.models import Base, Instance, Series, Study
from dicomnode.db.repositories import instances

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ARRIVALS = st.lists(
    st.lists(st.builds(Arrival, st.booleans(), st.sampled_from([None, 1, 2, 3, 5, 8])), max_size=4), max_size=8
)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    opened = Database("sqlite://")  # nothing is synced: the examples commit a thousand times
    Base.metadata.create_all(opened.engine)
    with opened.write() as session:
        session.add(
            Study(uid="1", patient_id="", patient_name="", accession_number="", study_date="", description="",
                  first_seen_at=NOW)
        )  # fmt: skip
        session.flush()
        for uid in ("1.1", "1.2"):
            session.add(
                Series(uid=uid, study_uid="1", modality="", series_number="", description="", calling_aet="",
                       called_aet="", state="receiving", last_arrival_at=NOW)
            )  # fmt: skip
    yield opened
    opened.close()


def store(session: Session, arrivals: list[Arrival], first: int, series: str = "1.1") -> None:
    rows = [
        {
            "sop_uid": f"{series}.{first + number}", "series_uid": series, "sop_class_uid": "",
            "transfer_syntax_uid": "",
            "container": "", "offset": 0, "length": 0, "sha256": "", "instance_number": None,
            "acquisition_number": None, "images_in_acquisition": arrival.images_in_acquisition,
            "is_image": arrival.is_image, "association": "", "calling_aet": "", "received_at": NOW, "purged_at": None,
            "fault": "", "generation": None,
        }
        for number, arrival in enumerate(arrivals)
    ]  # fmt: skip
    if rows:
        instances.insert(session, rows)


@settings(max_examples=100, deadline=None)
@given(batches=ARRIVALS, lost=st.sets(st.integers(0, 7)))
def test_a_count_is_what_sql_says_whatever_is_rolled_back(
    database: Database, batches: list[list[Arrival]], lost: set[int]
) -> None:
    """`lost` batches are counted, rolled back, and come again."""
    counted = Tally()
    for number, batch in enumerate(batches):
        if number in lost:
            with Session(database.engine) as attempt:
                store(attempt, batch, 10 * number)
                counted.add(attempt, "1.1", batch)
        with database.write() as session:
            store(session, batch, 10 * number)
            count = counted.add(session, "1.1", batch)
            assert (count.instances, count.images, count.announced) == instances.tally(session, "1.1")
    with database.write() as session:
        session.execute(delete(Instance))


def test_sql_is_not_asked_for_every_batch(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = instances.tally

    def count_calls(session: Session, series_uid: str) -> tuple[int, int, int | None]:
        asked.append(series_uid)
        return real(session, series_uid)

    monkeypatch.setattr(instances, "tally", count_calls)
    counted = Tally()
    for number in range(30):
        with database.write() as session:
            arrival = Arrival(True, 20)
            store(session, [arrival], number)
            assert counted.add(session, "1.1", [arrival]).complete == (number == 19)
    assert len(asked) == 3  # at first sight, when 20 were there, and when they became more
    with database.write() as session:
        session.execute(delete(Instance))


def test_few_series_are_remembered(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(series: str) -> Count:
        with database.write() as session:
            return counted.add(session, series, ())

    monkeypatch.setattr(tally, "_SERIES", 1)
    counted = Tally()
    first = add("1.1")
    assert add("1.1") is first
    add("1.2")
    assert add("1.1") == Count(0, 0, None)
    assert add("1.1") is not first
