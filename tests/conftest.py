"""Fixtures of all tests, and the one way to leave out those that need real peers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.peers import WITHOUT_PEERS, Orthanc

_left_out: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests marked `peers` where someone said that there are none."""
    if os.environ.get(WITHOUT_PEERS) != "1":
        return
    without = [item for item in items if item.get_closest_marker("peers")]
    if without:
        items[:] = [item for item in items if not item.get_closest_marker("peers")]
        _left_out.extend(item.nodeid for item in without)
        config.hook.pytest_deselected(items=without)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out: fewer tests must never look like all of them."""
    if _left_out:
        terminalreporter.write_line(
            f"{len(_left_out)} tests with real peers (Orthanc, DCMTK) left out: {WITHOUT_PEERS}=1"
        )


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """A fresh, running Orthanc."""
    with Orthanc(tmp_path / "orthanc") as running:
        yield running
