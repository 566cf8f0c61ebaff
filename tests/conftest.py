"""Fixtures of all tests, and the one way to leave out those that need real peers, PostgreSQL or a browser."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import checkpoint
from support.browser import WITHOUT_BROWSER
from support.databases import new_database, on
from support.matrix import KEY, Form, RecordRow
from support.order import spread
from support.peers import WITHOUT_PEERS, Orthanc
from support.postgres import WITHOUT_POSTGRES, PostgreSQL

from dicomnode.db.database import Database

# How long an example takes says what else the machine was doing: Hypothesis's own bounds are 0.2 s, and 1 s to draw it.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

LEAVING_OUT = {"peers": WITHOUT_PEERS, "postgres": WITHOUT_POSTGRES, "browser": WITHOUT_BROWSER}
"""The variable that somebody sets to 1 who has none of these, by the marker of the tests that need them."""

_left_out: list[str] = []

checkpoint.mend()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In their order, without the tests of a marker of which someone said that what they need is not there."""
    items[:] = spread(items)
    absent = [marker for marker, variable in LEAVING_OUT.items() if os.environ.get(variable) == "1"]
    without = [item for item in items if any(item.get_closest_marker(marker) for marker in absent)]
    if without:
        items[:] = [item for item in items if item not in without]
        _left_out.extend(item.nodeid for item in without)
        config.hook.pytest_deselected(items=without)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out: fewer tests must never look like all of them."""
    if _left_out:
        asked = ", ".join(f"{variable}=1" for variable in LEAVING_OUT.values() if os.environ.get(variable) == "1")
        terminalreporter.write_line(
            f"{len(_left_out)} tests with real peers (Orthanc, DCMTK, PostgreSQL, Chromium) left out: {asked}"
        )


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """A fresh, running Orthanc."""
    with Orthanc(tmp_path / "orthanc") as running:
        yield running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One server for the whole run; every test takes a database of its own from it."""
    with PostgreSQL() as running:
        yield running


SQLITE_AND_POSTGRESQL = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=SQLITE_AND_POSTGRESQL)
def each_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test runs twice: with `support.databases.new_database` on SQLite, and with it on PostgreSQL."""
    if request.param == "sqlite":
        yield
        return
    with on(request.getfixturevalue("postgresql")):
        yield


@pytest.fixture
def database(each_database: None, tmp_path: Path) -> Iterator[Database]:
    """An empty, migrated database, on SQLite and on PostgreSQL."""
    database = new_database(tmp_path / "database")
    yield database
    database.close()


@pytest.fixture
def record_row(request: pytest.FixtureRequest) -> RecordRow:
    """`record_row(form, node="...", orthanc="...", storescp="...")`: what was seen, in words.

    A check without forms is recorded by its number and `rounds`.
    """

    def record(form: Form | int, rounds: str = "", **seen: str) -> None:
        row = {"check": form, "rounds": rounds} if isinstance(form, int) else {"check": form.check, "rounds": str(form)}
        request.node.user_properties.append((KEY, json.dumps({**row, **seen})))

    return record
