"""Whoever may do everything finds every page by links from Today, and no link leads to nowhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from support.house import copy_of
from support.pages import find_pages, of_pages
from support.webapp import Headless, client

pytestmark = pytest.mark.peers

NOT_BY_LINKS = {
    "/sign-in": "only for who is not signed in",
    "/sign-in/back": "the sign-in provider leads there",
    "/sign-in/provider": "only where there is one",
    "/queue/confirm": "where the buttons for all rows lead",
    "/queue/deliveries/confirm": "where the buttons for all rows lead",
    "/rules/draft/trial": "a part that renews itself while a replay runs",
    "/rules/attributes": "the editor's search",
    "/system/check-up": "the answer to a button",
    "/audit/verification": "a part that renews itself while the log is verified",
}


@pytest.fixture(scope="module")
def node(house_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headless]:
    """For all: who looks changes nothing of what there is."""
    node = copy_of(house_folder, tmp_path_factory.mktemp("links"))
    yield node
    node.flow.database.close()


def test_every_page_is_reached_by_links(node: Headless) -> None:
    visitor = client(node, "admin", names_shown=True)
    found = find_pages(visitor, each=1)  # fails for a link that is answered with an error
    assert isinstance(visitor.app, FastAPI)
    pictures = {path for path in of_pages(visitor.app) if path.endswith(".png")}
    assert of_pages(visitor.app) - found.routes - pictures == set(NOT_BY_LINKS)


@pytest.mark.parametrize("role", ["viewer", "radiologist", "operator", "auditor"])
def test_nobody_is_led_where_they_may_not_go(node: Headless, role: str) -> None:
    assert find_pages(client(node, role), each=1).pages.keys() >= {"/", "/me"}
