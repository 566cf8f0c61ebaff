"""Destinations in the browser and for programs: how each fares, why it refused, asking it, pausing it."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from pynetdicom import AE
from support.peers import free_port
from support.queuerows import add_site, delivery, fill, item, pacs
from support.webapp import Headless, client, headless

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import destination_figures, outages
from dicomnode.deliver.destination import Timeouts
from dicomnode.desk.destinations import asking

VERIFICATION, CT, EXPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser is kept waiting for 20 s at most: on a busy machine a peer that answers may need longer."""
    monkeypatch.setattr(asking, "IN_ALL", 120.0)
    monkeypatch.setattr(asking, "BROWSER", Timeouts(connect=60.0, acse=60.0, dimse=60.0))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A peer that answers C-ECHO and takes CT, called PACS."""
    ae = AE(ae_title="PACS")
    ae.add_supported_context(VERIFICATION)
    ae.add_supported_context(CT, EXPLICIT)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False)
    yield port
    server.shutdown()


@pytest.fixture
def node(tmp_path: Path, port: int) -> Headless:
    node = headless(tmp_path)
    states = ("pending", "failed", "sent", "committed", "failed")
    fill(node.flow.database, [], [delivery(number, state) for number, state in enumerate(states)])
    add_site(
        node.flow,
        pacs(port=port),
        pacs("deaf", port=free_port()),
        pacs("far", "192.0.2.7"),
        pacs("name", "far.example"),
    )
    return node


@pytest.fixture
def anna(node: Headless) -> TestClient:
    return client(node, "operator", name="anna")


def asked(node: Headless) -> list[str]:
    with node.flow.database.read() as session:
        return [row.message for row in audit_rows.listing(session, limit=50, kind="destination.asked")]


def test_each_says_how_it_fares_what_waits_and_what_it_refused(node: Headless, anna: TestClient) -> None:
    with node.flow.database.write() as session:
        outages.begin(session, "deaf", "network", "nobody listens")
        session.get_one(Delivery, 4).finished_at = database_now(session)
    page = anna.get("/destinations").text
    assert "nobody listens" in page
    assert "<code>A900</code> not what its SOP class demands: 4" in page
    rows = {row["name"]: row for row in anna.get("/api/v1/destinations").json()}
    assert [rows[name]["state"] for name in ("pacs", "deaf")] == ["up", "down"]
    assert (rows["pacs"]["waits"], rows["pacs"]["dead_letters"]) == (1, 2)
    assert rows["pacs"]["today"] == {"committed": 1}
    assert rows["pacs"]["rejected"][0]["instances"] == 4
    assert rows["deaf"]["rejected"] == []


def test_one_has_its_outage_its_refusals_and_its_events(anna: TestClient) -> None:
    anna.post("/destinations/pacs/pause", data={"reason": "it moves"})
    page = anna.get("/destinations/pacs").text
    assert "anna paused pacs: it moves" in page
    assert "<code>A900</code>" in page
    document = anna.get("/api/v1/destinations/pacs").json()
    assert document["warned"] == []
    assert [event["message"] for event in document["events"]] == ["anna paused pacs: it moves"]
    assert anna.get("/destinations/nope").status_code == anna.get("/api/v1/destinations/nope").status_code == 404


def test_what_one_refuses_does_not_hide_what_another_refuses(
    node: Headless, anna: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [delivery(10 + number, destination="deaf") for number in range(3)]
    with node.flow.database.write() as session:
        session.add_all(refused)
        session.flush()
        session.add_all(item(row, number) for row in refused for number in range(4))
    rows = {row["name"]: row for row in anna.get("/api/v1/destinations").json()}
    assert [(rows[name]["rejected"][0]["instances"], rows[name]["rejected_whole"]) for name in ("pacs", "deaf")] == [
        (4, True),
        (12, True),
    ]
    assert "all its dead letters" in anna.get("/destinations/deaf").text
    monkeypatch.setattr(destination_figures, "LOOKED_AT", 10)
    rows = {row["name"]: row for row in anna.get("/api/v1/destinations").json()}
    assert [rows[name]["rejected_whole"] for name in ("pacs", "deaf", "far")] == [True, False, True]
    assert "the newest alone" in anna.get("/destinations").text
    assert "too many to look at all" in anna.get("/destinations/deaf").text


@pytest.mark.parametrize("name", ["ward 3/reading room", "a/b/c"])
def test_a_name_may_have_slashes(node: Headless, anna: TestClient, port: int, name: str) -> None:
    add_site(node.flow, pacs(name, port=port, ae_title="PACS"), pacs("a"))
    for address in (quote(name), quote(name, safe="")):
        page = anna.get(f"/destinations/{address}").text
        assert f"<h1>{name}</h1>" in page
        assert anna.get(f"/api/v1/destinations/{address}").json()["name"] == name
    assert f'action="/destinations/{quote(name)}/echo"' in page
    assert f'href="/destinations/{quote(name)}"' in anna.get("/destinations").text
    assert "It answers." in anna.post(f"/destinations/{quote(name)}/echo").text
    assert anna.post(f"/api/v1/destinations/{quote(name)}/probe", json={}).json()["answers"]
    there = anna.post(f"/destinations/{quote(name)}/pause", data={"reason": "it moves"}).headers["location"]
    assert "it moves" in anna.get(there).text
    assert anna.post(f"/api/v1/destinations/{quote(name)}/resume").json() == {"changed": True}
    assert anna.get(f"/destinations/{quote(name)}/edit").status_code == 200
    assert anna.get("/destinations/a/nothing").status_code == 404


def test_it_is_paused_with_a_reason_and_resumed(node: Headless, anna: TestClient) -> None:
    assert (
        anna.post("/destinations/pacs/pause", data={"reason": "it moves"}).headers["location"] == "/destinations/pacs"
    )
    assert anna.get("/api/v1/destinations/pacs").json()["paused_by"] == "anna"
    assert anna.post("/api/v1/destinations/pacs/pause", json={}).json() == {"changed": False}
    assert anna.post("/destinations/pacs/resume").status_code == 303
    assert anna.post("/api/v1/destinations/pacs/resume").json() == {"changed": False}
    assert anna.post("/destinations/nope/pause").status_code == 404
    assert anna.post("/destinations/%00/pause").status_code == 422
    assert anna.post("/api/v1/destinations/pacs/pause", json={"reason": "\0"}).status_code == 422
    with node.flow.database.read() as session:
        events = audit_rows.listing(session, limit=9, kind="destination")
    assert [(row.kind, row.actor) for row in events] == [
        ("destination.paused", "anna"),
        ("destination.resumed", "anna"),
    ]


def test_an_echo_shows_what_was_negotiated_and_how_long_it_took(node: Headless, anna: TestClient) -> None:
    whole = anna.post("/destinations/pacs/echo").text
    part = anna.post("/destinations/pacs/echo", headers={"HX-Request": "true"}).text
    for text in (whole, part):
        assert "It answers." in text
        assert "PYNETDICOM" in text
    assert "<html" not in part
    answer = anna.post("/api/v1/destinations/pacs/echo").json()
    assert (answer["answers"], answer["status"], answer["failure"]) == (True, "0000", "")
    assert answer["implementation_version"].startswith("PYNETDICOM")
    assert asked(node) == ["anna asked pacs by C-ECHO: it answers"] * 3


def test_a_probe_shows_what_it_takes(anna: TestClient) -> None:
    page = anna.post("/destinations/pacs/probe").text
    assert "CT Image Storage" in page
    assert "Explicit VR Little Endian" in page
    answer = anna.post("/api/v1/destinations/pacs/probe", json={}).json()
    assert answer["classes"][CT] == [EXPLICIT]
    assert answer["services"]["verification"]


def test_one_that_does_not_answer_says_so(anna: TestClient) -> None:
    assert "Connection refused" in anna.post("/destinations/deaf/echo").text
    assert not anna.post("/api/v1/destinations/deaf/echo").json()["answers"]
    assert "It cannot be asked." in anna.post("/destinations/deaf/probe").text


def test_the_browser_reaches_no_other_network(anna: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> socket.socket:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", never)
    for address in ("/destinations/far/echo", "/destinations/far/probe", "/api/v1/destinations/far/echo"):
        answer = anna.post(address)
        assert answer.status_code == 422
        assert "192.0.2.7 is outside of the networks" in answer.text


def test_a_name_is_connected_to_at_the_address_that_was_checked(
    port: int, node: Headless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver tells the truth once and lies ever after; the second answer is never asked for."""
    add_site(node.flow, pacs("name", "far.example", port, ae_title="PACS"))
    answers = iter(["127.0.0.1"])
    truly = socket.getaddrinfo

    def resolve(host: str, *more: Any, **named: Any) -> Any:
        return truly(next(answers) if host == "far.example" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answer = client(node, "operator").post("/api/v1/destinations/name/echo").json()
    assert (answer["answers"], answer["address"]) == (True, f"127.0.0.1:{port}")
