"""The real server: whose word about a request is believed, and what it says of itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from support.peers import free_port
from support.webapp import Headless, headless

from dicomnode.desk.accounts import accounts, passwords, sessions
from dicomnode.desk.person import Person
from dicomnode.web.application import create_app
from dicomnode.web.server import WebServer

GOOD = "correct horse battery"
FORWARDED = {"X-Forwarded-For": "10.9.8.7", "X-Forwarded-Proto": "https", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Headless:
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    made = headless(tmp_path)
    accounts.add(made.flow, Person("a test", (), "command line"), "anna", ["admin"], GOOD)
    return made


@contextmanager
def serving(node: Headless, proxies: tuple[str, ...]) -> Iterator[httpx.Client]:
    port = free_port()
    server = WebServer(create_app(node), "127.0.0.1", port, proxies)
    server.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as browser:
            yield browser
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("proxies", "address", "cookie"),
    [
        (("127.0.0.1/32",), "10.9.8.7", "__Host-dicomnode_session="),
        (("127.0.0.0/8",), "10.9.8.7", "__Host-dicomnode_session="),
        (("10.0.0.1/32",), "127.0.0.1", "dicomnode_session="),
        ((), "127.0.0.1", "dicomnode_session="),
    ],
)
def test_a_proxy_of_the_settings_is_believed_and_nobody_else(
    node: Headless, proxies: tuple[str, ...], address: str, cookie: str
) -> None:
    with serving(node, proxies) as browser:
        answer = browser.post("/sign-in", data={"name": "anna", "password": GOOD}, headers=FORWARDED)
    assert answer.status_code == 303
    assert answer.headers["set-cookie"].startswith(cookie)
    assert [row.peer for row, _ in sessions.everybodys(node.flow)] == [address]


def test_the_server_does_not_say_what_it_is(node: Headless) -> None:
    with serving(node, ()) as browser:
        assert "server" not in browser.get("/sign-in").headers


def test_the_address_that_a_connection_came_to_is_a_name_of_the_node(node: Headless) -> None:
    with serving(node, ()) as browser:
        assert browser.get("/sign-in", headers={"Host": "127.0.0.1:1"}).status_code == 200
        assert browser.get("/sign-in", headers={"Host": "127.0.0.2"}).status_code == 421
