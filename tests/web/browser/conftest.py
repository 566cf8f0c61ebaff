"""A browser and a house full of data for the tests of pages; what Chromium complains about fails them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from support.browser import Visit, chromium, visiting
from support.house import copy_of
from support.peers import free_port
from support.webapp import Headless, account, client, session_of

from dicomnode.desk import day, today
from dicomnode.web.application import create_app
from dicomnode.web.server import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@dataclass
class Served:
    """The house behind a real port, and its administrator's session."""

    node: Headless
    url: str
    secret: str
    visitor: TestClient
    """The same person without a browser."""

    def visit(self, browser: "Browser", **options: Any) -> Any:
        """A window with the administrator signed in, see `visiting`."""
        return visiting(browser, self.url, **{"secret": self.secret, **options})


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def served(house_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A copy of the house, its pages on a port of their own, names of patients shown."""
    node = copy_of(house_folder, tmp_path_factory.mktemp("served"))
    with pytest.MonkeyPatch.context() as patch:
        # Its day may have ended before its pages are looked at.
        patch.setattr(today, "midnight", lambda now: day.midnight(now - timedelta(days=1)))
        yield from serve(node)


def serve(node: Headless) -> Iterator[Served]:
    secret = session_of(node.flow, account(node.flow, "admin", name="night shift"), names_shown=True)
    port = free_port()
    server = WebServer(create_app(node), "127.0.0.1", port)
    server.start()
    try:
        visitor = client(node, "admin", name="day shift", names_shown=True)
        yield Served(node, f"http://127.0.0.1:{port}", secret, visitor)
    finally:
        server.stop()
        node.flow.database.close()


@pytest.fixture
def window(browser: "Browser", served: Served) -> Iterator[Visit]:
    """A window in which the administrator is signed in."""
    with served.visit(browser) as visit:
        yield visit
