"""Whatever the states of its deliveries and its work: a series is purged only if none of them is open."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.models import Delivery, Enhancement, Instance, Series, Study
from dicomnode.db.repositories import retention
from dicomnode.domain.states import DELIVERY, ENHANCEMENT

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD, BEFORE = NOW - timedelta(days=60), NOW - timedelta(days=30)
ASKED = "sent, and asked about"
DELIVERIES = sorted(DELIVERY.states | {ASKED, "of a later version"})
WORK = sorted(ENHANCEMENT.states | {"of a later version"})
OPEN_DELIVERIES = {"pending", "sending", "failed", ASKED, "of a later version"}
OPEN_WORK = {"ready", "running", "of a later version"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('open')}/node.db")
    migrate.upgrade(database)
    with database.write() as session:
        about = {"patient_id": "", "patient_name": "", "accession_number": "", "study_date": "", "description": ""}
        session.add(Study(uid="1", first_seen_at=OLD, **about))
    return database


def describe(database: Database, deliveries: list[str], work: list[str], ended: datetime) -> None:
    """One old series with these deliveries (of originals and of derived series) and this work."""
    with database.write() as session:
        for model in (Delivery, Enhancement, Instance, Series):
            session.execute(delete(model))
        head = {"modality": "CT", "series_number": "1", "description": "", "calling_aet": "A", "called_aet": "B"}
        session.add(
            Series(
                uid="1.1", study_uid="1", state="complete", generation=1, last_arrival_at=OLD, completed_at=OLD, **head
            )
        )
        session.flush()
        at = {"container": "containers/a.tar", "offset": 512, "length": 10}
        syntax = {"sop_class_uid": "1.2", "transfer_syntax_uid": "1.2", "sha256": "0"}
        session.add(
            Instance(
                sop_uid="1.1.1", series_uid="1.1", **at, **syntax, is_image=True, association="a", calling_aet="A",
                received_at=OLD,
            )
        )  # fmt: skip
        for number, state in enumerate(work):
            recipe = {"pipeline": "p", "version": "1", "weights_sha256": "", "params": {}, "writer_profile": {}}
            session.add(
                Enhancement(
                    key=str(number), series_uid="1.1", generation=1, **recipe, state=state, priority=1, not_before=OLD,
                    created_at=OLD, finished_at=ended,
                )
            )  # fmt: skip
        session.flush()
        ids = [None, *session.scalars(select(Enhancement.id))]
        for number, state in enumerate(deliveries):
            session.add(
                Delivery(
                    destination=str(number), subject="s", series_uid="1.1", enhancement_id=ids[number % len(ids)],
                    rule="r", state="sent" if state == ASKED else state, not_before=OLD, created_at=OLD,
                    finished_at=ended, confirm_at=ended if state == ASKED else None,
                )
            )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    deliveries=st.lists(st.sampled_from(DELIVERIES), max_size=4),
    work=st.lists(st.sampled_from(WORK), max_size=3),
    young=st.booleans(),
)
def test_a_series_is_purged_only_if_nothing_is_open(
    database: Database, deliveries: list[str], work: list[str], young: bool
) -> None:
    describe(database, deliveries, work, NOW - timedelta(days=1) if young else OLD)
    is_open = bool(OPEN_DELIVERIES & set(deliveries) or OPEN_WORK & set(work))
    is_open |= young and bool(deliveries or work)
    with database.write() as session:
        assert retention.candidates(session, BEFORE, 10) == ([] if is_open else ["1.1"])
        purged = retention.purge(session, "1.1", BEFORE, NOW)
        assert (purged is None) == is_open
        assert session.scalar(select(func.count()).where(Instance.purged_at.is_not(None))) == (not is_open)
        assert session.scalar(select(func.count()).select_from(Delivery)) == len(deliveries)


def test_one_of_two_nodes_purges(tmp_path: Path, database: Database) -> None:
    describe(database, ["sent"], ["done"], OLD)
    with database.write() as session:
        assert retention.purge(session, "1.1", BEFORE, NOW) is not None
    with database.write() as session:
        assert retention.purge(session, "1.1", BEFORE, NOW) is None
