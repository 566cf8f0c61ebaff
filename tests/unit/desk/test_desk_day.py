"""The charts of a day, held against a count over every row; on both databases."""

import random
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from sqlalchemy import update
from support.ledger import with_series

from dicomnode.db.database import Database
from dicomnode.db.models import Delivery, Enhancement, Series
from dicomnode.db.repositories import day_charts
from dicomnode.desk.day import MINUTE, SPAN, STEP, charts, midnight

NOW = datetime.now(UTC).replace(hour=20, minute=7, second=31, microsecond=250_000)
SINCE = midnight(NOW)
LAST_SLICE = SINCE - timedelta(minutes=3)
OPEN = ("ready", "running")


def job(number: int, state: str, created: datetime, finished: datetime | None) -> Enhancement:
    return Enhancement(
        key=str(number),
        series_uid="1.2.3",
        generation=1,
        pipeline="p",
        version="1",
        weights_sha256="",
        params={},
        writer_profile={},
        state=state,
        priority=1,
        not_before=created,
        created_at=created,
        finished_at=finished,
    )


@pytest.fixture
def jobs(database: Database) -> list[Enhancement]:
    """Of yesterday and today, over and open; some ended exactly at a step, some were begun anew after an end."""
    with_series(database)
    rng = random.Random(5)
    rows = []
    for number in range(300):
        state = rng.choice(["done", "done", "withheld", "failed", "ready", "running", "cancelled"])
        created = SINCE + timedelta(seconds=rng.randint(-40_000, int((NOW - SINCE).total_seconds()) - 1))
        left = (NOW - created).total_seconds()
        ended = created + timedelta(seconds=rng.uniform(0, left))
        if rng.random() < 0.2:
            ended = SINCE + max(0, round((ended - SINCE) / STEP)) * STEP
            ended = min(max(ended, created), NOW)
        again = state in OPEN and rng.random() < 0.3
        rows.append(job(number, state, created, ended if again or state not in OPEN else None))
    with database.write() as session:
        session.add_all(rows)
    return rows


def test_the_queue_is_what_a_count_of_all_rows_says(database: Database, jobs: list[Enhancement]) -> None:
    with database.read() as session:
        points = charts(session, NOW).queue

    def length(at: datetime) -> int:
        return sum(
            row.created_at < at and (row.state in OPEN or (row.finished_at is not None and row.finished_at >= at))
            for row in jobs
        )

    assert [point.at for point in points[:-1]] == [SINCE + n * STEP for n in range((NOW - SINCE) // STEP + 1)]
    for point in points[:-1]:
        minutes = [point.at + minute * MINUTE for minute in range(STEP // MINUTE)]
        assert point.value == max(length(minute) for minute in minutes if minute <= NOW)
    assert (points[-1].at, points[-1].value) == (NOW, sum(row.state in OPEN for row in jobs))
    assert max(point.value or 0 for point in points) > 20


def test_the_times_are_those_of_derived_series_that_arrived(database: Database, jobs: list[Enhancement]) -> None:
    rng, expected = random.Random(7), []
    with database.write() as session:
        session.execute(update(Series).values(last_arrival_at=LAST_SLICE))
        for number in range(120):
            at = SINCE + timedelta(seconds=rng.uniform(-20_000, (NOW - SINCE).total_seconds()))
            state, derived = rng.choice(["sent", "verified", "committed", "failed"]), rng.random() < 0.7
            session.add(delivery(number, state, at, jobs[number].id if derived else None))
            if derived and state != "failed" and at >= SINCE:
                expected.append((at, (at - LAST_SLICE).total_seconds()))
    with database.read() as session:
        found = charts(session, NOW)
        newest = day_charts.ways(session, SINCE, 10)
    seconds = [value for _, value in expected]
    assert (found.way_count, found.way_longest) == (len(seconds), max(seconds))
    assert found.way_median == pytest.approx(median(seconds))
    for point in found.ways:
        mine = [value for at, value in expected if point.at <= at < point.at + SPAN]
        assert point.value == (pytest.approx(median(mine)) if mine else None)
    assert newest == sorted(expected, reverse=True)[:10]


def test_a_source_that_got_a_late_instance_since_is_left_out(database: Database, jobs: list[Enhancement]) -> None:
    with database.write() as session:
        session.execute(update(Series).values(last_arrival_at=NOW))
        session.add(delivery(1, "sent", NOW - timedelta(seconds=1), jobs[0].id))
    with database.read() as session:
        assert charts(session, NOW).way_count == 0


def test_an_empty_day_has_charts_too(database: Database) -> None:
    with database.read() as session:
        found = charts(session, NOW)
    assert {point.value for point in found.queue} == {0.0}
    assert {point.value for point in found.ways} == {None}
    assert (found.way_count, found.way_median, found.way_longest) == (0, None, None)


def delivery(number: int, state: str, at: datetime, enhancement_id: int | None) -> Delivery:
    return Delivery(
        destination="pacs",
        subject=f"s{number}",
        series_uid="1.2.3",
        enhancement_id=enhancement_id,
        rule="all",
        state=state,
        not_before=at,
        created_at=at,
        finished_at=at,
    )
