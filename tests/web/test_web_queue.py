"""Jobs in the browser, without JavaScript, and for programs: the list, one job, what is done to them and who did it."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from support.queuerows import fill, job
from support.webapp import Headless, client, headless

from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import enhancements
from dicomnode.db.repositories.job_list import JobFilter
from dicomnode.desk import jobs
from dicomnode.desk.person import Person

STATES = ("ready", "ready", "running", "done", "failed", "failed", "withheld", "expired", "cancelled")
"""Of the jobs 1 to 9."""


@pytest.fixture
def node(tmp_path: Path) -> Headless:
    node = headless(tmp_path)
    worker = {"running": "n/cpu", "failed": "n/cpu", "done": "nn/cpu"}
    jobs = [job(number, state, worker=worker.get(state, "")) for number, state in enumerate(STATES)]
    fill(node.flow.database, jobs)
    return node


@pytest.fixture
def anna(node: Headless) -> TestClient:
    return client(node, "operator", name="anna")


def state_of(node: Headless, id: int) -> str:
    with node.flow.database.read() as session:
        row = enhancements.find(session, id)
        assert row is not None
        return row.state


def actors(node: Headless, kind: str) -> list[str]:
    with node.flow.database.read() as session:
        return [row.actor for row in audit_rows.listing(session, limit=2000, kind=kind)]


def listed(text: str) -> list[int]:
    """Numbers of the jobs on a page, in its order."""
    return [int(number) for number in re.findall(r'id="job-(\d+)"', text)]


def test_the_list_names_every_job_and_what_it_waits_for(anna: TestClient) -> None:
    page = anna.get("/queue").text
    assert listed(page) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert "a worker" in page


FILTERS = {
    "state=failed": [6, 5],
    "state=outdated": [],
    "pipeline=ct-denoise&state=withheld": [7],
    "pipeline=never": [],
    "priority=normal&state=ready": [2, 1],
    "priority=stat": [],
    "node=n": [6, 5, 3],
    "node=n&state=failed": [6, 5],
    "node=n&state=done": [],
    "series=1.2.3&state=done": [4],
}


def test_filters_of_the_page_and_of_the_api_agree(anna: TestClient) -> None:
    for query, ids in FILTERS.items():
        assert listed(anna.get(f"/queue?{query}").text) == ids, query
        assert [row["id"] for row in anna.get(f"/api/v1/jobs?{query}").json()["items"]] == ids, query


def test_a_filter_that_makes_no_sense_is_refused_in_words(anna: TestClient) -> None:
    for query in ("state=nonsense", "priority=now", "cursor=x", "series=%00"):
        assert anna.get(f"/queue?{query}").status_code == 422, query
        answer = anna.get(f"/api/v1/jobs?{query}")
        assert (answer.status_code, answer.json()["title"]) == (422, "refused"), query


def test_the_table_alone_is_renewed_and_says_that_nobody_asked(anna: TestClient) -> None:
    part = anna.get("/queue?state=failed", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert listed(part) == [6, 5]
    assert 'hx-get="/queue?state=failed' in part
    assert "X-Background" in part


def test_one_job_tells_its_recipe_and_what_can_be_done(anna: TestClient) -> None:
    page = anna.get("/queue/5").text
    assert "ct-denoise" in page
    assert "Retry" in page
    assert anna.get("/api/v1/jobs/5").json()["possible"] == ["retry", "reroute"]
    assert anna.get("/queue/77").status_code == anna.get("/api/v1/jobs/77").status_code == 404


def test_a_form_does_it_to_the_chosen_jobs_and_returns_to_the_list(node: Headless, anna: TestClient) -> None:
    answer = anna.post("/queue/act", data={"verb": "retry", "id": ["5", "7"], "pipeline": "ct-denoise"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue?pipeline=ct-denoise&verb=retry&done=2")
    assert [state_of(node, id) for id in (5, 7)] == ["ready", "ready"]
    assert actors(node, "enhancement.retried") == ["anna", "anna"]
    assert "2 jobs are ready again" in anna.get(answer.headers["location"]).text


def test_what_is_refused_is_said_with_the_reason(node: Headless, anna: TestClient) -> None:
    answer = anna.post("/queue/act", data={"verb": "cancel", "id": ["1", "4"]})
    assert answer.status_code == 200
    assert "1 job is cancelled" in answer.text
    assert "job 4 is done: it cannot become cancelled" in answer.text
    assert state_of(node, 1) == "cancelled"


def test_all_that_fit_are_counted_before_it_is_done_and_newer_ones_are_left_alone(
    node: Headless, anna: TestClient
) -> None:
    asked = anna.get("/queue/confirm?verb=retry&pipeline=ct-denoise").text
    assert "Retry 2 jobs?" in asked
    (up_to,) = re.findall(r'name="up_to" value="(\d+)"', asked)
    with node.flow.database.write() as session:
        session.add(job(100, "failed"))
    form = {"verb": "retry", "fitting": "true", "up_to": up_to, "pipeline": "ct-denoise"}
    assert anna.post("/queue/act", data=form).status_code == 303
    assert [state_of(node, id) for id in (5, 6, 10)] == ["ready", "ready", "failed"]


def test_a_reroute_to_no_pipeline_is_refused_for_each(node: Headless, anna: TestClient) -> None:
    assert anna.post("/queue/act", data={"verb": "reroute", "id": "1", "to": ""}).status_code == 422
    answer = anna.post("/queue/act", data={"verb": "reroute", "id": "1", "to": "ghost", "one": "1"})
    assert "there is no pipeline named ghost" in answer.text
    assert state_of(node, 1) == "ready"


def test_a_form_that_makes_no_sense_is_refused(anna: TestClient) -> None:
    for form in ({"verb": "retry"}, {"verb": "delete", "id": "1"}, {"verb": "retry", "id": "x"}):
        assert anna.post("/queue/act", data=form).status_code == 422, form
    for nul in ({"reason": "\0"}, {"pipeline": "\0"}):
        assert anna.post("/queue/pause", data=nul).status_code == 422, nul
        assert anna.post("/api/v1/jobs/pause", json=nul).status_code == 422, nul
    assert anna.get("/queue/confirm?verb=retry&state=done").status_code == 422


def test_jobs_are_paused_and_resumed_with_the_reason_for_all_to_read(node: Headless, anna: TestClient) -> None:
    assert anna.post("/queue/pause", data={"pipeline": "ct-denoise", "reason": "service"}).status_code == 303
    assert "ct-denoise is paused by anna" in anna.get("/queue").text
    assert "(service)" in anna.get("/queue").text
    assert anna.post("/api/v1/jobs/pause", json={"pipeline": "ct-denoise"}).json() == {"changed": False}
    assert anna.post("/queue/resume", data={"pipeline": "ct-denoise"}).status_code == 303
    assert anna.post("/api/v1/jobs/resume", json={"pipeline": "ct-denoise"}).json() == {"changed": False}
    assert actors(node, "jobs.paused") == actors(node, "jobs.resumed") == ["anna"]


def test_programs_do_it_to_numbers_to_what_fits_or_to_all(node: Headless, anna: TestClient) -> None:
    document = anna.post("/api/v1/jobs/retry", json={"ids": [5, 4, 99]}).json()
    assert (document["done"], document["left"]) == ([5], 0)
    assert [row["id"] for row in document["refused"]] == [4, 99]
    assert anna.post("/api/v1/jobs/retry", json={"states": ["withheld", "expired"]}).json()["done"] == [7, 8]
    assert anna.post("/api/v1/jobs/cancel", json={"all": True}).json()["done"] == [1, 2, 3, 5, 7, 8]
    refused = anna.post("/api/v1/jobs/reroute", json={"ids": [9], "to": "ghost"}).json()["refused"]
    assert refused[0]["reason"].startswith("there is no pipeline named ghost")


def test_programs_say_which_in_exactly_one_way(anna: TestClient) -> None:
    for asked in ({}, {"ids": [1], "all": True}, {"ids": [0]}, {"ids": [1 << 64]}, {"each": True}):
        assert anna.post("/api/v1/jobs/cancel", json=asked).status_code == 422, asked


def test_programs_are_told_how_many_that_is_and_leave_alone_what_comes_after(node: Headless, anna: TestClient) -> None:
    asked = {"verb": "retry", "pipeline": "ct-denoise"}
    fitting = anna.get("/api/v1/jobs/fitting", params=asked).json()
    assert fitting == {"count": 2, "states": ["failed"], "up_to": 6}
    with node.flow.database.write() as session:
        session.add(job(50, "failed"))
    body = {"pipeline": "ct-denoise", "up_to": fitting["up_to"]}
    assert anna.post("/api/v1/jobs/retry", json=body).json()["done"] == [5, 6]
    none = anna.get("/api/v1/jobs/fitting", params={"verb": "retry", "pipeline": "never"}).json()
    assert (none["count"], none["up_to"]) == (0, None)
    assert anna.get("/api/v1/jobs/fitting", params={"verb": "retry", "state": "done"}).status_code == 422


def test_programs_read_what_keeps_jobs_from_being_started(node: Headless, anna: TestClient) -> None:
    assert anna.get("/api/v1/jobs/holds").json() == []
    anna.post("/api/v1/jobs/pause", json={"pipeline": "ct-denoise", "reason": "service"})
    anna.put("/api/v1/switch", json={"stopped": True, "reason": "ghosts"})
    holds = {row["kind"]: row for row in anna.get("/api/v1/jobs/holds").json()}
    assert (holds["jobs"]["pipeline"], holds["jobs"]["by"], holds["jobs"]["reason"]) == (
        "ct-denoise",
        "anna",
        "service",
    )
    assert "ghosts" in holds["enhancing"]["words"]


def test_programs_read_a_job_as_its_page_shows_it(node: Headless, anna: TestClient) -> None:
    anna.post("/api/v1/jobs/retry", json={"ids": [5]})
    document = anna.get("/api/v1/jobs/5").json()
    assert [(event["kind"], event["actor"]) for event in document["events"]] == [("enhancement.retried", "anna")]
    assert (document["decisions"], document["possible"]) == ([], ["cancel", "reroute"])


def test_a_thousand_jobs_are_moved_in_portions_and_who_waits_too_long_is_told_how_many_are_left(
    node: Headless, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node.flow.database.write() as session:
        session.add_all(job(number, "failed") for number in range(1000, 2050))
    portions: list[int] = []
    write = node.flow.database.write
    monkeypatch.setattr(node.flow.database, "write", lambda: portions.append(1) or write())
    person = Person("anna", ("operator",))
    first = jobs.retry(node.flow, person, JobFilter(pipeline="ct-denoise"), within=0.0)
    assert (len(first.done), first.left, len(portions)) == (100, 952, 1)
    rest = jobs.retry(node.flow, person, JobFilter(pipeline="ct-denoise"))
    assert (len(rest.done), rest.left, len(portions)) == (952, 0, 11)
    assert len(actors(node, "enhancement.retried")) == 1052


def test_every_page_once_through_cursors(node: Headless, anna: TestClient) -> None:
    with node.flow.database.write() as session:
        session.add_all(job(number, "failed") for number in range(100, 220))
    found: list[int] = []
    address: str | None = "/queue"
    while address:
        text = anna.get(address).text
        found += listed(text)
        further: Sequence[str] = re.findall(r'rel="next" href="([^"]+)"', text)
        address = further[0].replace("&amp;", "&") if further else None
    assert found == list(range(129, 0, -1))


def test_who_may_look_alone_sees_no_buttons(node: Headless) -> None:
    viewer = client(node, "viewer")
    page = viewer.get("/queue").text
    assert listed(page)[0] == 9
    assert "/queue/act" not in page
    assert '<button name="verb"' not in page
    assert viewer.post("/queue/act", data={"verb": "retry", "id": "5"}).status_code == 403
