"""Today: what came and was made is on the page, without reload and without asking for what has not changed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID
from support.flowbench import FlowBench
from support.webapp import Headless, client, headless

from dicomnode.db.repositories import enhancements
from dicomnode.desk import switch, today
from dicomnode.desk.patients import HIDDEN
from dicomnode.desk.person import Person

pytestmark = pytest.mark.torch

RULES = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
"""
OTTO = Person("otto", ("operator",))


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    return FlowBench(tmp_path / "node", RULES)


@contextmanager
def stopped(bench: FlowBench) -> Iterator[None]:
    """Meanwhile enhancing is stopped."""
    assert switch.stop(bench.flow, OTTO, "ghosts in the liver")
    yield
    assert switch.start(bench.flow, OTTO)


def ct(number: int = 1) -> Dataset:
    """A slice of pydicom's own CT."""
    dataset = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{dataset.SOPInstanceUID}.{number}")
    return dataset


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lasts as long as the test: with the next one, all of this is told anew."""
    at = datetime.now(UTC)
    monkeypatch.setattr(today, "database_now", lambda session: at)


def mark_of(html: str) -> str:
    """The version that the page asks with next time."""
    found = re.search(r'hx-get="/today/live\?version=([0-9a-f]+)"', html)
    assert found
    return found[1]


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


@pytest.mark.usefixtures("each_database")
def test_an_arrival_is_in_the_part_that_is_polled(bench: FlowBench) -> None:
    browser = client(Headless(bench.flow), "viewer")
    page = browser.get("/")
    assert "Nothing has arrived since midnight" in page.text
    mark = mark_of(page.text)
    bench.receive(ct(), calling_aet="CT1")
    bench.receive(ct(2), calling_aet="CT1")
    part = browser.get(f"/today/live?version={mark}", headers={"X-Background": "1"})
    assert part.status_code == 200
    assert "<html" not in part.text
    assert re.search(r"CT1 2 receiving", text_of(part.text))
    assert mark_of(part.text) != mark


@pytest.mark.usefixtures("one_minute")
def test_what_has_not_changed_is_not_sent_again(bench: FlowBench) -> None:
    browser = client(Headless(bench.flow), "viewer")
    bench.receive(ct())
    first = browser.get("/today/live")
    tag, mark = first.headers["etag"], mark_of(first.text)
    again = browser.get("/today/live", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    same = browser.get(f"/today/live?version={mark}")
    assert (same.status_code, same.content) == (204, b"")
    bench.receive(ct(2))
    assert browser.get("/today/live", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.usefixtures("each_database")
def test_the_api_has_the_same_and_a_tag(bench: FlowBench) -> None:
    program = client(Headless(bench.flow), "viewer")
    bench.receive(ct())
    bench.complete()
    bench.work()
    answer = program.get("/api/v1/today")
    body = answer.json()
    assert body["arrived"] == 1
    (arrival,) = body["arrivals"]
    assert (arrival["instances"], arrival["series"]["calling_aet"], arrival["status"]) == (1, "CT1", "delivering")
    assert [(job["state"], job["shadow"]) for job in arrival["jobs"]] == [("done", False)]
    assert (body["ended"], body["open_jobs"]) == ({"done": 1}, {"ready": 0, "running": 0})
    assert body["ways"] == [{"destination": "pacs", "derived": 0, "originals": 0, "waiting": 1, "failed": 0}]
    assert body["now"].endswith(("Z", "+00:00"))
    assert "Compressed" not in answer.text, "the patient's name"
    same = program.get("/api/v1/today", headers={"If-None-Match": answer.headers["etag"]})
    if same.status_code == 200:  # a minute has ended in between
        answer = same
        same = program.get("/api/v1/today", headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    with stopped(bench):
        changed = program.get("/api/v1/today", headers={"If-None-Match": answer.headers["etag"]})
    assert changed.status_code == 200
    assert program.get("/api/v1/today/charts").json()["queue"][-1]["value"] == 0


def test_running_jobs_with_their_stage(bench: FlowBench) -> None:
    browser = client(Headless(bench.flow), "viewer")
    bench.receive(ct())
    bench.complete()
    claim(bench, "decode")
    html = browser.get("/").text
    assert "passthrough" in html
    assert re.search(r"decode n/cpu/0", text_of(html))
    mark = mark_of(html)
    claim(bench, "network")
    assert re.search(r"network n/cpu/0", text_of(browser.get(f"/today/live?version={mark}").text))


def claim(bench: FlowBench, stage: str) -> None:
    """The worker holds the one job, at this stage."""
    with bench.flow.database.write() as session:
        enhancements.take(session, "n/cpu/0", 60.0)
    (row,) = bench.enhancements()
    with bench.flow.database.write() as session:
        assert enhancements.renew(session, row.id, row.attempt, 60.0, stage)


@pytest.mark.usefixtures("one_minute")
def test_names_are_hidden_until_asked_for_and_every_look_is_recorded_once(bench: FlowBench) -> None:
    bench.receive(ct())
    node = Headless(bench.flow)
    name = "CompressedSamples, CT1"
    for browser in (client(node, "viewer"), client(node, "radiologist", name="ruth")):
        html = browser.get("/").text
        assert name not in html
        assert "CompressedSamples" not in html
        assert HIDDEN not in html
    asked = client(node, "radiologist", names_shown=True, name="rita")
    assert name in asked.get("/").text
    assert name in asked.get("/today/live").text
    assert bench.events().count("patient.viewed") == 1
    mark = mark_of(asked.get("/today/live").text)
    assert asked.get(f"/today/live?version={mark}").status_code == 204, "a look at names is no news"


def test_one_person_is_not_told_that_anothers_page_is_unchanged(bench: FlowBench) -> None:
    node = Headless(bench.flow)
    bench.receive(ct())
    seen = client(node, "radiologist", names_shown=True, name="rita").get("/today/live").headers["etag"]
    other: TestClient = client(node, "viewer")
    assert other.get("/today/live", headers={"If-None-Match": seen}).status_code == 200


def test_links_lead_only_where_one_may_go(bench: FlowBench) -> None:
    bench.receive(ct())
    with stopped(bench):
        for role in ("viewer", "auditor"):
            html = client(Headless(bench.flow), role).get("/").text
            assert ('href="/queue' in html) == (role == "viewer")
            assert 'href="/series/' in html


def test_a_database_that_is_away_is_said_in_words(tmp_path: Path) -> None:
    node = headless(tmp_path)
    browser = client(node, "admin")
    node.flow.database.close()
    for file in tmp_path.glob("node.db*"):
        file.unlink()
    (tmp_path / "node.db").write_bytes(b"no database any more" * 1000)
    page = browser.get("/")
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "The database does not answer" in page.text
    assert "Images are received and kept meanwhile" in page.text
    problem = browser.get("/api/v1/today")
    assert (problem.status_code, problem.headers["content-type"]) == (503, "application/problem+json")
    assert problem.json()["title"] == "the database does not answer"
