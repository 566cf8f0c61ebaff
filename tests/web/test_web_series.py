"""Series in pages and API: found by any name, hidden until asked for, told of, drawn, run by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_charset_files
from pydicom.uid import UID
from support.derivations import file_of
from support.flowbench import FlowBench
from support.series import uid as uid_of
from support.webapp import Headless, client

from dicomnode.db.models import AuditEvent
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.desk.patients import HIDDEN

pytestmark = pytest.mark.torch

RULES = """
  - name: chest
    state: live
    when: {attribute: PatientName, contains: Dupont}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
"""
SCRIPT = "<script>alert(1)</script>"
NAMES = {
    "chrH31": ("yamada", "TAROU", "山田", "山田太郎", "やまだ"),
    "chrI2": ("Hong", "洪", "길동", "홍길동"),
    "chrX1": ("wang", "王", "小東"),
    "chrGreek": ("διονυσιος", "ΔΙΟΝΥΣΙΟΣ"),
    "chrRuss": ("люкceмбypг",),
    "chrArab": ("قباني",),
    "chrHbrw": ("שרון",),
    "chrGerm": ("aneas", "ÄNEAS", "rüdiger"),
    "chrFren": ("jerome", "Buc jér"),
}


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    return FlowBench(tmp_path / "node", RULES)


@dataclass
class Ward:
    """A node that a series came to and was enhanced at, and another one that no rule fits; both stay as they are."""

    bench: FlowBench
    uid: str
    other: str
    people: Iterator[int]

    def browser(self, *roles: str, name: str = "", names_shown: bool = False) -> TestClient:
        """A browser of somebody who was not here before."""
        name = name or f"{roles[0]} {next(self.people)}"
        return client(Headless(self.bench.flow), *roles, name=name, names_shown=names_shown)

    def looks(self, name: str, kind: str = "patient.viewed") -> list[AuditEvent]:
        return [row for row in events(self.bench, kind) if row.actor == name]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    bench = FlowBench(tmp_path_factory.mktemp("ward") / "node", RULES)
    found = Ward(bench, receive(bench), receive(bench, "Other^Person", key="b"), count(1))
    assert bench.work() == 1
    return found


def receive(
    bench: FlowBench, name: str = "Dupont^Anne", charset: str = "ISO_IR 192", key: str = "a", n: int = 2
) -> str:
    """A completed series of pydicom's own CT, of a patient with this name. Returns its UID."""
    for number in range(1, n + 1):
        dataset = dcmread(file_of("CT_small.dcm"))
        dataset.SpecificCharacterSet, dataset.PatientName, dataset.PatientID = charset, name, f"ID-{key}-4711"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid_of("study", key), uid_of("series", key)
        dataset.SOPInstanceUID = UID(uid_of("instance", key, number))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.AccessionNumber, dataset.InstanceNumber = f"ACC-{key}", number
        dataset.SeriesDescription, dataset.StudyDescription = f"Abdomen {key}", SCRIPT
        bench.receive(dataset, SCRIPT[:16])
    bench.complete()
    return uid_of("series", key)


def events(bench: FlowBench, kind: str) -> list[AuditEvent]:
    with bench.flow.database.read() as session:
        return list(audit_rows.listing(session, limit=99, kind=kind))


def found(browser: TestClient, **query: str) -> list[str]:
    return [row["uid"] for row in browser.get("/api/v1/series", params=query).raise_for_status().json()["items"]]


def test_names_are_found_in_every_script_and_case(bench: FlowBench) -> None:
    uids = {}
    for file in NAMES:
        header = dcmread(get_charset_files(f"{file}.dcm")[0])
        uids[file] = receive(bench, str(header.PatientName), header.SpecificCharacterSet, key=file, n=1)
    browser = client(Headless(bench.flow), "radiologist")
    for file, words in NAMES.items():
        for word in words:
            assert found(browser, text=word) == [uids[file]], word
            assert uids[file] in browser.get("/series", params={"q": word}).text
    assert found(browser, text="yamada hong") == []


def test_who_may_not_see_patients_finds_nothing_by_their_names(ward: Ward) -> None:
    viewer = ward.browser("viewer", name="vera")
    for word in ("dupont", "4711", "ACC-a", "alert"):
        assert found(viewer, text=word) == []
    assert found(viewer, text=ward.other) == [ward.other]
    assert found(viewer) == found(viewer, text="ABDOMEN") == [ward.other, ward.uid]
    assert ward.looks("vera") == []


def test_a_patient_is_hidden_by_default(ward: Ward) -> None:
    paths = ("/series", "/series/{0}", "/api/v1/series", "/api/v1/series/{0}", "/api/v1/series/{0}/story")
    for role in ("admin", "viewer", "auditor"):
        browser = ward.browser(role, name=f"{role} hidden")
        for path in paths:
            answer = browser.get(path.format(ward.uid))
            assert answer.status_code == 200
            assert HIDDEN in answer.text
            assert not [secret for secret in ("Dupont", "Anne", "4711", "ACC-a") if secret in answer.text], path
        assert ward.looks(f"{role} hidden") == []


def test_why_a_rule_did_not_match_names_nobody(ward: Ward) -> None:
    viewer, admin = ward.browser("viewer"), ward.browser("admin", names_shown=True)
    for path in (f"/series/{ward.other}", f"/api/v1/series/{ward.other}/story"):
        hidden = viewer.get(path).text
        assert "Other" not in hidden
        assert "PatientName contains" in hidden
    assert "Other^Person" in admin.get(f"/series/{ward.other}").text


def test_names_are_shown_after_asking_and_the_audit_tells(bench: FlowBench) -> None:
    uid = receive(bench)
    browser = client(Headless(bench.flow), "radiologist", name="ruth")
    answer = browser.post("/names/show", data={"next": f"/series/{uid}?x=1"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/series/{uid}?x=1")
    for _ in range(3):
        assert "Dupont, Anne" in browser.get("/series").text
        assert "ID-a-4711" in browser.get(f"/series/{uid}").text
    assert [row.actor for row in events(bench, "patient.names_shown")] == ["ruth"]
    looks = {(row.actor, row.subject, row.series_uid) for row in events(bench, "patient.viewed")}
    assert looks == {("ruth", "the series list", None), ("ruth", "the story of a series", uid)}
    assert len(events(bench, "patient.viewed")) == 2
    browser.post("/names/hide", data={"next": "/series"})
    assert "Dupont" not in browser.get("/series").text


def test_showing_names_leads_to_no_other_site(ward: Ward) -> None:
    browser = ward.browser("operator")
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "series", "/a\nb"):
        assert browser.post("/names/show", data={"next": elsewhere}).headers["location"] == "/series"


def test_a_program_asks_for_names_in_so_many_words(ward: Ward) -> None:
    browser = ward.browser("operator", name="a program", names_shown=True)
    assert "Dupont" not in browser.get(f"/api/v1/series/{ward.uid}").text
    assert ward.looks("a program") == []
    assert browser.get(f"/api/v1/series/{ward.uid}?names=true").json()["patient_name"] == "Dupont^Anne"
    assert browser.get("/api/v1/series?names=true").json()["items"][1]["patient_id"] == "ID-a-4711"
    assert len(ward.looks("a program")) == 2
    refused = ward.browser("viewer").get("/api/v1/series?names=true")
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")


def test_a_search_by_name_is_told_even_while_names_are_hidden(ward: Ward) -> None:
    ward.browser("operator", name="otto").get("/series?q=dupont")
    assert [row.detail["filters"] for row in ward.looks("otto")] == [{"text": "dupont"}]


def test_the_list_goes_on_page_by_page(bench: FlowBench) -> None:
    uids = [receive(bench, key=f"k{number}", n=1) for number in range(5)]
    browser = client(Headless(bench.flow), "viewer")
    gathered: list[str] = []
    cursor: str | None = ""
    for _ in range(3):
        answer = browser.get("/api/v1/series", params={"limit": 2, "cursor": cursor or ""}).json()
        gathered += [row["uid"] for row in answer["items"]]
        cursor = answer["next"]
    assert cursor is None
    assert gathered == uids[::-1]
    for wrong in ("x", "WzEsMl0"):
        assert browser.get("/api/v1/series", params={"cursor": wrong}).status_code == 422


def test_filters_that_there_are_not_are_refused_in_words(ward: Ward) -> None:
    browser = ward.browser("viewer")
    for query in ("status=odd", "made=odd", "from=soon", "to=9999-12-31"):
        answer = browser.get(f"/series?{query}")
        assert answer.status_code == 422, query
    assert "failed, withheld" in browser.get("/series?status=odd").text
    assert browser.get("/series?from=2026-01-01&to=2026-12-31&status=failed").status_code == 200


def test_htmx_gets_the_part_that_changes_alone(ward: Ward) -> None:
    browser = ward.browser("viewer")
    part = browser.get("/series?modality=CT", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert 'hx-get="/series?modality=CT"' in part
    story = browser.get(f"/series/{ward.uid}", headers={"HX-Request": "true"}).text
    assert "<html" not in story
    assert 'id="story"' in story


def test_texts_of_a_scanner_are_never_markup(bench: FlowBench) -> None:
    uid = receive(bench, f"{SCRIPT}^{SCRIPT}")
    browser = client(Headless(bench.flow), "admin", names_shown=True)
    for path in ("/series", f"/series/{uid}", f"/series/{uid}/images", f"/series/{uid}/run", f"/series?q={SCRIPT}"):
        assert "<script>alert" not in browser.get(path).text, path
    assert "&lt;script&gt;" in browser.get(f"/series/{uid}").text


def test_the_story_tells_every_step_in_order(ward: Ward) -> None:
    uid = ward.uid
    browser = ward.browser("admin")
    story = browser.get(f"/api/v1/series/{uid}/story").json()
    kinds = [entry["kind"] for entry in story["entries"]]
    assert [kind for kind in kinds if kind != "event"] == ["arrival", "completion", "decisions", "job", "delivery"]
    assert [entry["at"] for entry in story["entries"]] == sorted(entry["at"] for entry in story["entries"])
    of = {entry["kind"]: entry["about"] for entry in story["entries"]}
    assert (of["arrival"]["instances"], of["completion"]["number"]) == (2, 1)
    assert (of["decisions"]["rules"][0]["rule"], of["decisions"]["rules"][0]["job"]) == ("chest", of["job"]["id"])
    assert (of["job"]["state"], of["job"]["outputs"]) == ("done", 2)
    assert (of["delivery"]["destination"], of["delivery"]["instances"]) == ("pacs", {"pending": 2})
    assert (story["facts"]["status"], story["objection"], story["is_cut"]) == ("delivering", "", False)
    page = browser.get(f"/series/{uid}").text
    here = f"/series/{uid}"
    for link in (
        "/queue/1",
        "/rules/revisions/1",
        f"/audit?series={uid}",
        f"{here}/deliveries/1",
        f"{here}/images?job=1",
    ):
        assert f'href="{link}"' in page, link


def test_a_delivery_is_told_instance_by_instance(ward: Ward) -> None:
    bench, uid = ward.bench, ward.uid
    browser = ward.browser("viewer")
    page = browser.get(f"/series/{uid}/deliveries/1").text
    assert all(output.sop_uid in page for output in bench.outputs())
    assert browser.get(f"/series/{uid}/deliveries/7").status_code == 404
    assert browser.get("/series/1.2.3/deliveries/1").status_code == 404


def test_a_derived_series_leads_to_its_source(ward: Ward) -> None:
    bench, uid = ward.bench, ward.uid
    derived = str(bench.read(bench.outputs()[0]).SeriesInstanceUID)
    browser = ward.browser("viewer")
    assert browser.get(f"/series/{derived}").headers["location"] == f"/series/{uid}"
    assert browser.get("/series/1.2.3").status_code == 404
    assert found(browser, text=derived) == found(browser, text=bench.outputs()[0].sop_uid) == [uid]


def test_pictures_are_png_and_stay_on_no_disk(ward: Ward) -> None:
    uid = ward.uid
    browser = ward.browser("radiologist", name="ruth")
    page = browser.get(f"/series/{uid}/images").text
    assert "Grey is no change" in page
    assert "Made by <strong>passthrough 1.0.0</strong>" in page
    assert "not delivered: pending for pacs" in page
    pictures = {}
    for which in ("before", "after", "difference"):
        path = f"/series/{uid}/images/1/1/{which}.png"
        assert f'src="{path}"' in page
        answer = browser.get(path)
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/png", "no-store")
        pictures[which] = np.asarray(Image.open(BytesIO(answer.content)))
    assert np.array_equal(pictures["before"], pictures["after"])
    assert pictures["before"].std() > 10
    assert pictures["difference"].std() == 0
    assert [row.series_uid for row in ward.looks("ruth", "image.viewed")] == [uid]
    part = browser.get(f"/series/{uid}/images?job=1&slice=2", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "/images/1/2/after.png" in part
    missing = browser.get(f"/series/{uid}/images/0/1/after.png")
    assert missing.status_code == 404
    assert "nothing was made of it" in missing.text
    assert ward.browser("viewer").get(f"/series/{uid}/images").status_code == 403


def test_programs_have_the_pictures_and_what_may_be_run(ward: Ward) -> None:
    browser, here = ward.browser("radiologist", name="rosa"), f"/api/v1/series/{ward.uid}"
    (made,) = browser.get(f"{here}/images").json()
    assert (made["job"], made["pipeline"], made["standing"]) == (1, "passthrough", "not delivered: pending for pacs")
    first = browser.get(f"{here}/images/1/1").json()
    assert first["pictures"].keys() == {"before", "after", "difference"}
    assert (first["number"], first["frame"], first["missing"]) == (1, 1, {})
    answer = browser.get(f"{here}/images/1/1/after.png")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/png", "no-store")
    assert list(Image.open(BytesIO(answer.content)).size) == first["pictures"]["after"]
    missing = browser.get(f"{here}/images/0/1/after.png")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert [row.series_uid for row in ward.looks("rosa", "image.viewed")] == [ward.uid]
    choices = browser.get(f"{here}/choices").json()
    assert {"name": "passthrough", "refusal": ""}.items() <= choices["pipelines"][0].items()
    assert ward.browser("viewer").get(f"{here}/images/1/1/after.png").status_code == 403


def test_a_run_by_hand_from_the_page_to_the_delivery(bench: FlowBench) -> None:
    uid = receive(bench, "Other^Person")
    assert bench.work() == 0
    browser = client(Headless(bench.flow), "radiologist", name="ruth")
    assert "passthrough" in browser.get(f"/series/{uid}/run").text
    form = browser.get(f"/series/{uid}/run?pipeline=passthrough").text
    assert 'name="to" value="archive"' in form
    assert "sent nowhere" in form
    answer = browser.post(f"/series/{uid}/run", data={"pipeline": "passthrough", "to": ["archive"], "priority": "stat"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/series/{uid}")
    assert bench.work() == 1
    assert [(row.destination, row.rule) for row in bench.deliveries()] == [("archive", "by hand: passthrough")]
    page = browser.get(f"/series/{uid}").text
    assert "ruth asked for a run by hand" in page
    assert "its result goes to archive" in page
    assert [(row.actor, row.detail["deliver_to"]) for row in events(bench, "series.run")] == [("ruth", ["archive"])]


def test_a_run_by_hand_through_the_api(bench: FlowBench) -> None:
    uid = receive(bench, "Other^Person")
    browser = client(Headless(bench.flow), "operator")
    answer = browser.post(f"/api/v1/series/{uid}/run", json={"pipeline": "passthrough"})
    assert (answer.status_code, answer.json()) == (202, {"job": 1, "state": "ready", "destinations": []})
    assert bench.work() == 1
    assert bench.deliveries() == []
    assert browser.get(f"/api/v1/series/{uid}").json()["status"] == "enhanced"
    for order, status, words in (
        ({"pipeline": "passthru"}, 422, "did you mean passthrough"),
        ({"pipeline": "passthrough", "deliver_to": ["x"]}, 422, "no destination x"),
        ({"pipeline": "passthrough", "params": {"a": 1}}, 422, "a: Extra"),
        ({"pipelin": "passthrough"}, 422, "pipelin"),
    ):
        refused = browser.post(f"/api/v1/series/{uid}/run", json=order)
        assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
        assert words in refused.text
    assert browser.post("/api/v1/series/1.2.3/run", json={"pipeline": "passthrough"}).status_code == 404


def test_a_form_that_is_refused_keeps_what_was_chosen(bench: FlowBench) -> None:
    uid = receive(bench)
    browser = client(Headless(bench.flow), "operator")
    sent = {"pipeline": "passthrough", "to": ["pacs", "elsewhere"], "params": "strength: 3"}
    answer = browser.post(f"/series/{uid}/run", data=sent)
    assert answer.status_code == 422
    assert 'value="pacs" checked' in answer.text
    assert "strength" in answer.text


def test_complete_keep_and_release(bench: FlowBench) -> None:
    dataset = dcmread(file_of("CT_small.dcm"))
    bench.receive(dataset)
    uid = str(dataset.SeriesInstanceUID)
    browser = client(Headless(bench.flow), "operator", name="otto")
    refused = browser.post(f"/api/v1/series/{uid}/run", json={"pipeline": "passthrough"})
    assert refused.status_code == 409
    assert "still expected" in refused.text
    assert browser.post(f"/series/{uid}/complete").status_code == 303
    bench.complete()
    assert browser.post(f"/api/v1/series/{uid}/complete").status_code == 409
    assert browser.post(f"/api/v1/series/{uid}/keep").status_code == 204
    assert "otto" in browser.get(f"/series/{uid}").text
    assert browser.post(f"/api/v1/series/{uid}/release").json() == {"conflicts": 0, "kept_for": ""}
    told = [events(bench, kind) for kind in ("series.told_complete", "series.kept", "series.released")]
    assert [row.actor for rows in told for row in rows] == ["otto"] * 3
    assert browser.post("/series/1.2.3/keep").status_code == 404
