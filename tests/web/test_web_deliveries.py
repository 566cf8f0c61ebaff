"""Deliveries in the browser, without JavaScript, and for programs: statuses in words, retry, cancel, re-route."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from support.queuerows import add_site, delivery, fill, item, pacs
from support.webapp import Headless, client, headless

from dicomnode.db.models import Delivery
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import deliveries

STATES = ("pending", "failed", "sent", "committed", "cancelled", "failed")
"""Of the deliveries 1 to 6, of two instances each."""


@pytest.fixture
def node(tmp_path: Path) -> Headless:
    node = headless(tmp_path)
    fill(node.flow.database, [], [delivery(number, state) for number, state in enumerate(STATES)])
    add_site(node.flow, pacs(), pacs("archive"), pacs("old", enabled=False))
    return node


@pytest.fixture
def anna(node: Headless) -> TestClient:
    return client(node, "operator", name="anna")


def state_of(node: Headless, id: int) -> str:
    with node.flow.database.read() as session:
        row = deliveries.find(session, id)
        assert row is not None
        return row.state


def listed(text: str) -> list[int]:
    """Numbers of the deliveries on a page, in its order."""
    return [int(number) for number in re.findall(r'id="delivery-(\d+)"', text)]


FILTERS = {
    "": [6, 5, 4, 3, 2, 1],
    "state=failed": [6, 2],
    "destination=pacs&state=pending": [1],
    "destination=archive": [],
    "rule=forward&state=sent": [3],
    "rule=never": [],
    "series=1.2.3&state=cancelled": [5],
}


def test_filters_of_the_page_and_of_the_api_agree(anna: TestClient) -> None:
    for query, ids in FILTERS.items():
        assert listed(anna.get(f"/queue/deliveries?{query}").text) == ids, query
        rows = anna.get(f"/api/v1/deliveries?{query}").json()["items"]
        assert [row["id"] for row in rows] == ids, query
        assert all(sum(row["instances"].values()) == 2 for row in rows)


def test_what_waits_says_for_what(anna: TestClient) -> None:
    anna.post("/destinations/pacs/pause", data={"reason": "it moves"})
    assert "the destination, which is paused: by anna: it moves" in anna.get("/queue/deliveries").text
    assert anna.get("/api/v1/deliveries/1").json()["waits_for"].startswith("the destination, which is paused")


def test_every_status_is_said_in_words_with_what_to_do(node: Headless, anna: TestClient) -> None:
    with node.flow.database.write() as session:
        row = deliveries.find(session, 3)
        assert row is not None
        session.add(item(row, 7, "sent", 0xB007))
    page = anna.get("/queue/deliveries/2").text
    assert "<code>A900</code>" in page
    assert "not what its SOP class demands" in page
    assert "then retry" in page
    found = anna.get("/api/v1/deliveries/3/instances").json()["items"]
    assert [each["status"] for each in found] == ["0000", "0000", "B007"]
    assert found[0]["todo"] == ""
    assert "stored" in found[2]["means"]


def test_instances_are_read_page_by_page_and_by_state(node: Headless, anna: TestClient) -> None:
    with node.flow.database.write() as session:
        row = deliveries.find(session, 3)
        assert row is not None
        session.add_all(item(row, number, "sent", 0) for number in range(10, 130))
    shown: list[str] = []
    address = "/queue/deliveries/3?state=sent"
    while address:
        text = anna.get(address).text
        shown += re.findall(r"1\.2\.3\.3\.\d+", text)
        further = re.findall(r'rel="next" href="([^"]+)"', text)
        address = further[0].replace("&amp;", "&") if further else ""
    assert (len(shown), len(set(shown))) == (122, 122)
    uids: list[str] = []
    cursor = ""
    while cursor is not None:
        page = anna.get("/api/v1/deliveries/3/instances", params={"limit": 50, "cursor": cursor}).json()
        uids += [each["sop_uid"] for each in page["items"]]
        cursor = page["next"]
    assert (len(uids), len(set(uids))) == (122, 122)


def test_the_part_of_a_page_alone_is_renewed(anna: TestClient) -> None:
    for address in ("/queue/deliveries", "/queue/deliveries/1"):
        part = anna.get(address, headers={"HX-Request": "true"}).text
        assert "<html" not in part
        assert "hx-get" in part


def test_forms_send_again_cancel_and_send_elsewhere(node: Headless, anna: TestClient) -> None:
    done = anna.post("/queue/deliveries/act", data={"verb": "retry", "id": ["2", "5"]})
    assert done.headers["location"] == "/queue/deliveries?verb=retry&done=2"
    assert [state_of(node, id) for id in (2, 5)] == ["pending", "pending"]
    assert anna.post("/queue/deliveries/act", data={"verb": "cancel", "id": "2", "one": "2"}).headers["location"] == (
        "/queue/deliveries/2?verb=cancel&done=1"
    )
    anna.post("/queue/deliveries/act", data={"verb": "reroute", "id": "1", "to": "archive"})
    assert [state_of(node, id) for id in (1, 2)] == ["cancelled", "cancelled"]
    assert [row["destination"] for row in anna.get("/api/v1/deliveries?state=pending").json()["items"]] == [
        "archive",
        "pacs",
    ]
    with node.flow.database.read() as session:
        events = audit_rows.listing(session, limit=50, kind="delivery")
    told = [(event.kind, event.actor) for event in events if event.actor == "anna"]
    assert told == [("delivery.requeued", "anna")] * 2 + [("delivery.cancelled", "anna"), ("delivery.rerouted", "anna")]


def test_destinations_are_asked_again_whether_they_keep_what_they_took(node: Headless, anna: TestClient) -> None:
    def give_up() -> None:
        with node.flow.database.write() as session:
            session.execute(update(Delivery).where(Delivery.id == 3).values(confirmation="it is away", confirm_at=None))

    give_up()
    assert 'value="confirm"' in anna.get("/queue/deliveries/3").text
    assert 'value="confirm"' not in anna.get("/queue/deliveries/2").text
    assert "Ask again about 1 delivery?" in anna.get("/queue/deliveries/confirm?verb=confirm").text
    done = anna.post("/queue/deliveries/act", data={"verb": "confirm", "fitting": "true", "up_to": "6"})
    assert done.headers["location"] == "/queue/deliveries?verb=confirm&done=1"
    assert "1 delivery is asked about." in anna.get(done.headers["location"]).text
    assert "Ask again about 0 deliveries?" in anna.get("/queue/deliveries/confirm?verb=confirm").text
    give_up()
    assert anna.post("/api/v1/deliveries/confirm", json={"destination": "pacs"}).json()["done"] == [3]
    assert (
        anna.post("/api/v1/deliveries/confirm", json={"ids": [2]})
        .json()["refused"][0]["reason"]
        .startswith("delivery 2 is failed")
    )
    assert anna.post("/queue/act", data={"verb": "confirm", "id": "1"}).status_code == 422


def test_programs_read_a_delivery_as_its_page_shows_it(anna: TestClient) -> None:
    anna.post("/api/v1/deliveries/cancel", json={"ids": [1]})
    document = anna.get("/api/v1/deliveries/1").json()
    assert [(event["kind"], event["actor"]) for event in document["events"]] == [("delivery.cancelled", "anna")]
    assert (document["state"], document["stored_with_warning"]) == ("cancelled", 0)
    assert "retry" in document["possible"]
    fitting = anna.get("/api/v1/deliveries/fitting", params={"verb": "retry", "destination": "pacs"}).json()
    body = {"destination": "pacs", "up_to": fitting["up_to"]}
    assert len(anna.post("/api/v1/deliveries/retry", json=body).json()["done"]) == fitting["count"] > 0


def test_refusals_say_why(anna: TestClient) -> None:
    answer = anna.post("/queue/deliveries/act", data={"verb": "retry", "id": ["2", "3"]})
    assert "delivery 3 is sent: only a failed one can be sent again" in answer.text
    for to, why in (("nowhere", "there is no destination"), ("old", "is not enabled")):
        assert why in anna.post("/queue/deliveries/act", data={"verb": "reroute", "id": "1", "to": to}).text
        assert why in anna.post("/api/v1/deliveries/reroute", json={"ids": [1], "to": to}).json()["detail"]
    assert anna.get("/queue/deliveries/99").status_code == 404
    assert anna.get("/api/v1/deliveries/99/instances").status_code == 404


def test_all_that_fit_are_sent_again_after_a_look_at_their_number(node: Headless, anna: TestClient) -> None:
    asked = anna.get("/queue/deliveries/confirm?verb=retry&destination=pacs").text
    assert "Retry 2 deliveries?" in asked
    (up_to,) = re.findall(r'name="up_to" value="(\d+)"', asked)
    form = {"verb": "retry", "fitting": "true", "destination": "pacs", "up_to": up_to}
    assert anna.post("/queue/deliveries/act", data=form).status_code == 303
    assert [state_of(node, id) for id in (2, 6, 5)] == ["pending", "pending", "cancelled"]
    assert anna.post("/api/v1/deliveries/cancel", json={"destination": "pacs"}).json()["done"] == [1, 2, 6]
    assert anna.post("/api/v1/deliveries/retry", json={"states": ["cancelled"]}).json()["done"] == [1, 2, 5, 6]
