"""Silent senders, held against the definition read aloud over every series that came."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from dicomnode.db.database import Database
from dicomnode.db.models import Series, Study
from dicomnode.desk.silence import Silence, silent, window

NOW = datetime(2026, 5, 20, 14, 30, tzinfo=UTC)
HOURS = 4.0
Came = list[tuple[str, datetime]]
MINUTES = st.integers(min_value=-16 * 24 * 60, max_value=0)
EDGES = st.sampled_from([-minutes - off for minutes in (0, 7 * 1440, 14 * 1440) for off in (0, 1, 239, 240, 241)])
ARRIVALS = st.lists(st.tuples(st.sampled_from(["CT1", "CT2", "MR1"]), st.one_of(MINUTES, EDGES)), max_size=14)


def fill(database: Database, came: Came) -> None:
    told = dict.fromkeys(("patient_id", "patient_name", "accession_number", "study_date", "description"), "")
    rest = dict.fromkeys(("modality", "series_number", "description", "called_aet"), "")
    with database.write() as session:
        session.execute(delete(Series))
        session.execute(delete(Study))
        session.add(Study(uid="1", first_seen_at=NOW, **told))
        session.flush()
        for number, (aet, at) in enumerate(came):
            uid = f"1.{number}"
            session.add(Series(uid=uid, study_uid="1", calling_aet=aet, last_arrival_at=at, state="complete", **rest))


def found(database: Database, now: datetime = NOW, hours: float = HOURS) -> list[Silence]:
    with database.read() as session:
        return list(silent(session, now, hours))


def read_aloud(came: Came) -> dict[str, datetime]:
    """Something came in these hours a week ago and two weeks ago, and nothing does now."""

    def sent(aet: str, weeks: int) -> bool:
        end = NOW - timedelta(weeks=weeks)
        return any(who == aet and end - timedelta(hours=HOURS) <= at < end for who, at in came)

    def newest(aet: str) -> datetime:
        return max(at for who, at in came if who == aet)

    return {
        aet: newest(aet)
        for aet in {who for who, _ in came}
        if sent(aet, 1) and sent(aet, 2) and newest(aet) < NOW - timedelta(hours=HOURS)
    }


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(arrivals=ARRIVALS)
def test_they_are_those_that_the_definition_names(database: Database, arrivals: list[tuple[str, int]]) -> None:
    came = [(aet, NOW + timedelta(minutes=minutes)) for aet, minutes in arrivals]
    fill(database, came)
    assert {each.calling_aet: each.last_heard for each in found(database)} == read_aloud(came)


def weekly(aet: str, *weeks: int) -> Came:
    return [(aet, NOW - timedelta(weeks=week, hours=1)) for week in weeks]


def test_examples(database: Database) -> None:
    fill(
        database,
        [
            *weekly("SILENT", 1, 2),
            *weekly("SENDS", 0, 1, 2),
            *weekly("NEW", 1),
            *weekly("AGO", 2, 3),
            ("NIGHTS", NOW - timedelta(weeks=1, hours=12)),
            ("NIGHTS", NOW - timedelta(weeks=2, hours=12)),
        ],
    )
    assert [each.calling_aet for each in found(database)] == ["SILENT"]
    assert found(database, hours=0) == []
    assert [each.calling_aet for each in found(database, NOW + timedelta(days=1))] == []


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
def test_a_week_ago_is_the_same_time_on_the_wall() -> None:
    """On 29 March 2026 the clocks go from 02:00 to 03:00: 14:00 is 12:00 UTC after it, 13:00 UTC before."""
    now = datetime(2026, 3, 30, 12, 0, tzinfo=UTC)
    assert window(now, 4.0, 0)[1] == now
    assert window(now, 4.0, 1) == (datetime(2026, 3, 23, 9, 0, tzinfo=UTC), datetime(2026, 3, 23, 13, 0, tzinfo=UTC))
