"""Pages of jobs and deliveries, put together, are what a walk over every row finds; on both databases."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from support.queuerows import delivery, fill, job

from dicomnode.db.database import Database
from dicomnode.db.models import Delivery, Enhancement
from dicomnode.db.repositories import delivery_list, job_list
from dicomnode.db.repositories.delivery_list import DeliveryFilter
from dicomnode.db.repositories.job_list import JobFilter

JOB_STATES = ("ready", "running", "done", "failed", "withheld", "outdated")
DELIVERY_STATES = ("pending", "sending", "sent", "failed", "committed")

job_filters = st.builds(
    JobFilter,
    states=st.lists(st.sampled_from(JOB_STATES), max_size=2).map(tuple),
    pipeline=st.sampled_from(("", "a", "b", "never")),
    series=st.sampled_from(("", "1.2.3", "1.2.4")),
    node=st.sampled_from(("", "n", "n1", "%")),
    priority=st.sampled_from((None, 0, 1, 2)),
    up_to=st.sampled_from((None, 20, 70)),
)
delivery_filters = st.builds(
    DeliveryFilter,
    states=st.lists(st.sampled_from(DELIVERY_STATES), max_size=2).map(tuple),
    destination=st.sampled_from(("", "pacs", "archive", "never")),
    series=st.sampled_from(("", "1.2.3", "1.2.4")),
    rule=st.sampled_from(("", "forward", "denoise", "never")),
    up_to=st.sampled_from((None, 20, 70)),
)
thorough = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def fits_job(row: Enhancement, wanted: JobFilter) -> bool:
    return (
        (not wanted.states or row.state in wanted.states)
        and wanted.pipeline in ("", row.pipeline)
        and wanted.series in ("", row.series_uid)
        and (not wanted.node or row.worker.startswith(f"{wanted.node}/"))
        and wanted.priority in (None, row.priority)
        and (wanted.up_to is None or row.id <= wanted.up_to)
    )


def fits_delivery(row: Delivery, wanted: DeliveryFilter) -> bool:
    return (
        (not wanted.states or row.state in wanted.states)
        and wanted.destination in ("", row.destination)
        and wanted.series in ("", row.series_uid)
        and wanted.rule in ("", row.rule)
        and (wanted.up_to is None or row.id <= wanted.up_to)
    )


def all_pages(page: Callable[[int, int | None], Sequence[int]], limit: int) -> list[int]:
    """Numbers of every page, one after another."""
    found: list[int] = []
    while rows := page(limit, found[-1] if found else None):
        assert len(rows) <= limit
        found += rows
    return found


def rows_of(session: Session, model: Any) -> Sequence[Any]:
    return session.scalars(select(model).order_by(model.id.desc())).all()


def test_jobs(database: Database) -> None:
    random = Random(7)
    made = []
    for number in range(90):
        state = random.choice(JOB_STATES[:5])
        worker = "" if state == "ready" else random.choice(("n/cpu", "n1/cpu", "n1/gpu"))
        pipeline, priority = random.choice("ab"), random.choice((1, 2))
        made.append(job(number, state, worker=worker, pipeline=pipeline, priority=priority))
    fill(database, made)

    with database.read() as session:
        rows = rows_of(session, Enhancement)

        @thorough
        @given(job_filters, st.integers(1, 40))
        def agree(wanted: JobFilter, limit: int) -> None:
            def page(limit: int, before: int | None) -> list[int]:
                return [row.job.id for row in job_list.page(session, wanted, limit, before)]

            expected = [row.id for row in rows if fits_job(row, wanted)]
            assert all_pages(page, limit) == expected
            assert job_list.numbers(session, wanted) == expected[::-1]

        agree()
        assert job_list.pipelines(session) == ["a", "b"]


def test_deliveries(database: Database) -> None:
    random = Random(8)
    made = []
    for number in range(90):
        destination, rule = random.choice(("pacs", "archive")), random.choice(("forward", "denoise"))
        made.append(delivery(number, random.choice(DELIVERY_STATES[:4]), destination=destination, rule=rule))
    fill(database, [], made, instances=1)

    with database.read() as session:
        rows = rows_of(session, Delivery)

        @thorough
        @given(delivery_filters, st.integers(1, 40))
        def agree(wanted: DeliveryFilter, limit: int) -> None:
            def page(limit: int, before: int | None) -> list[int]:
                return [row.delivery.id for row in delivery_list.page(session, wanted, limit, before)]

            expected = [row.id for row in rows if fits_delivery(row, wanted)]
            assert all_pages(page, limit) == expected
            assert delivery_list.numbers(session, wanted) == expected[::-1]

        agree()
