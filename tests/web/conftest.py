"""The house for tests of pages and of the API, built once for all test processes."""

from pathlib import Path

import pytest
from support.house import built


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever comes first builds the house, and the others wait for it: that is no part of the time a test has."""
    for item in items:
        if "house_folder" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def house_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Its node's folder; take a copy with `support.house.copy_of`."""
    base = tmp_path_factory.getbasetemp()
    return built((base if worker_id == "master" else base.parent) / "shared")
