"""The house for tests of pages and of the API, built once for all test processes."""

from pathlib import Path

import pytest
from support.house import built


@pytest.fixture(scope="session")
def house_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Its node's folder; take a copy with `support.house.copy_of`."""
    base = tmp_path_factory.getbasetemp()
    return built((base if worker_id == "master" else base.parent) / "shared")
