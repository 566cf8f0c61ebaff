"""What is held stays so, on every node, until it is released."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select
from support.databases import new_database

from dicomnode.db.database import Database
from dicomnode.db.repositories import holds
from dicomnode.db.repositories.holds import DESTINATION, ENHANCING, JOBS

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


def test_a_hold_is_there_until_it_is_released(database: Database) -> None:
    with database.write() as session:
        assert holds.hold(session, DESTINATION, "pacs", "anna", "maintenance")
    with database.read() as session:
        row = holds.held(session, DESTINATION, "pacs")
        assert row is not None
        assert (row.by, row.reason) == ("anna", "maintenance")
        assert holds.held(session, DESTINATION, "other") is None
        assert holds.held(session, DESTINATION) is None
    with database.write() as session:
        assert holds.release(session, DESTINATION, "pacs")
        assert not holds.release(session, DESTINATION, "pacs")
        assert holds.held(session, DESTINATION, "pacs") is None


def test_who_comes_second_changes_nothing(database: Database) -> None:
    with database.write() as session:
        assert holds.hold(session, ENHANCING, "", "anna", "ghosts in the liver")
    with database.write() as session:
        assert not holds.hold(session, ENHANCING, "", "bert", "me too")
    with database.read() as session:
        assert [(row.kind, row.by) for row in holds.listing(session)] == [(ENHANCING, "anna")]


def test_two_at_the_same_moment_are_one_hold(database: Database) -> None:
    def stop(by: str) -> bool:
        with database.write() as session:
            return holds.hold(session, JOBS, "", by, "")

    names = [f"operator {number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        done = dict(zip(names, pool.map(stop, names), strict=True))
    with database.read() as session:
        assert [row.by for row in holds.listing(session)] == [name for name in names if done[name]]


def test_part_of_a_statement(database: Database) -> None:
    with database.write() as session:
        holds.hold(session, JOBS, "ct-denoise", "anna", "")
        holds.hold(session, DESTINATION, "pacs", "anna", "")
    with database.read() as session:
        assert session.scalar(select(holds.is_held(JOBS, "", "ct-denoise")))
        assert not session.scalar(select(holds.is_held(JOBS, "")))
        assert not session.scalar(select(holds.is_held(JOBS)))
        assert not session.scalar(select(holds.is_held(ENHANCING)))
        assert session.scalars(holds.names_held(DESTINATION)).all() == ["pacs"]
