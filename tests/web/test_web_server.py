"""The real server: whose word about a request is believed, what it says of itself, and how many it lets wait."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from support.peers import free_port
from support.webapp import Headless, headless

from dicomnode.desk.accounts import accounts, passwords, sessions
from dicomnode.desk.person import Person
from dicomnode.settings.web import WebSettings
from dicomnode.web import connections
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
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as browser:
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


@pytest.mark.parametrize(
    ("web", "believed"),
    [
        ({}, ()),
        ({"public_url": "https://node.example"}, ("127.0.0.1/32", "::1/128")),
        ({"public_url": "https://node.example", "proxies": []}, ()),
        ({"proxies": ["10.0.0.1"]}, ("10.0.0.1/32",)),
    ],
)
def test_without_a_proxy_nobody_is_believed(web: dict[str, Any], believed: tuple[str, ...]) -> None:
    """Or whoever is on the machine guesses from as many addresses as they like, and the audit log names those."""
    assert WebSettings(**web).believed_proxies == believed


def test_the_server_does_not_say_what_it_is(node: Headless) -> None:
    with serving(node, ()) as browser:
        assert "server" not in browser.get("/sign-in").headers


def test_the_address_that_a_connection_came_to_is_a_name_of_the_node(node: Headless) -> None:
    with serving(node, ()) as browser:
        assert browser.get("/sign-in", headers={"Host": "127.0.0.1:1"}).status_code == 200
        assert browser.get("/sign-in", headers={"Host": "127.0.0.2"}).status_code == 421


def test_connections_that_say_nothing_leave_room_for_those_that_do(
    node: Headless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a descriptor of the node's: anybody who reaches the port could have them all, and keep them."""
    monkeypatch.setattr(connections, "MOST", 6)
    with serving(node, ()) as browser:
        address = (browser.base_url.host, browser.base_url.port or 0)
        silent = [socket.create_connection(address, 60.0) for _ in range(20)]
        for each in silent[::2]:
            each.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        try:
            assert browser.get("/healthz").status_code == 200
            deadline = time.monotonic() + 60
            while (ended := sum(_ended(each, 0.0) for each in silent)) < 20 - 6 and time.monotonic() < deadline:
                pass
            assert ended >= 20 - 6
        finally:
            for each in silent:
                each.close()


def test_a_burst_is_taken_in_portions(node: Headless) -> None:
    """The loop takes what waits before it counts any of it: more than it has descriptors for, if it takes all."""
    server = WebServer(create_app(node), "127.0.0.1", free_port())
    assert server._server.config.backlog + connections.MOST < 512
    server._socket.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HT",
        b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 9\r\n\r\nname=",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /he",
    ],
    ids=["nothing", "half a line", "half a body", "half of the second"],
)
def test_a_request_that_does_not_come_is_not_waited_for(
    node: Headless, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.1)
    with serving(node, ()) as browser:
        address = (browser.base_url.host, browser.base_url.port or 0)
        with socket.create_connection(address, 60.0) as waits:
            waits.sendall(said)
            assert _ended(waits, 60.0)
        monkeypatch.undo()  # on a busy machine an honest one takes longer than that, too
        assert browser.get("/healthz").status_code == 200


def _ended(connection: socket.socket, seconds: float) -> bool:
    """Whether the server hangs up within so long, whatever it says before."""
    deadline = time.monotonic() + seconds
    connection.settimeout(max(seconds, 0.01))
    try:
        while time.monotonic() <= deadline or not seconds:
            if not connection.recv(65536):
                return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return False
