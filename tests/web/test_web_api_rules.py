"""Rules by the API: from a draft through its replay into force and back, and what is hidden of patients."""

from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from support.desks import PACS, rule
from support.flowbench import FlowBench
from support.rulesets import real_file
from support.webapp import Headless, client

from dicomnode.desk.rules.replaying.loop import Replayer

URL = "/api/v1/rules"


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    """Two series, and no rules yet."""
    bench = FlowBench(tmp_path / "node")
    for name in ("CT_small.dcm", "MR_small.dcm"):
        dataset = real_file(name)
        dataset.SeriesInstanceUID = generate_uid()
        dataset.PatientName, dataset.PatientID = "Secret^Person", "SECRET-1"
        bench.receive(dataset)
    bench.complete()
    return bench


def test_a_draft_is_tried_published_and_rolled_back(bench: FlowBench) -> None:
    with client(Headless(bench.flow), "admin") as admin:
        draft = admin.get(f"{URL}/draft").json()
        assert (draft["version"], draft["touched"]) == (0, False)
        document = {"destinations": [PACS], "rules": [rule()]}
        draft = admin.put(f"{URL}/draft", json={"version": 0, "document": document}).json()
        assert draft["diff"]["lines"][:2] == ["destination archive: removed", "  ae_title: removed: ARCHIVE"]
        assert "replay it first" in draft["why_not_yet"]
        early = admin.post(f"{URL}/draft/publish", json={"version": draft["version"], "comment": ""})
        assert (early.status_code, early.headers["content-type"]) == (409, "application/problem+json")
        started = admin.post(f"{URL}/replays", json={"days": 7})
        assert (started.status_code, started.json()["state"]) == (202, "running")
        run_waiting(bench)
        replay = admin.get(f"{URL}/replays/{started.json()['id']}").json()
        assert replay["result"]["summary"] == "2 series, 1 changes: 1 gains passthrough"
        found = admin.get(f"{URL}/replays/{replay['id']}/changes", params={"kind": "gains"}).json()
        assert [(each["rule"], each["after"]["acts"]) for each in found["items"]] == [("chest", True)]
        done = admin.post(f"{URL}/draft/publish", json={"version": draft["version"], "comment": "go"}).json()
        assert done["revision"] == 2
        rules = admin.get(URL).json()
        assert [(each["name"], each["condition"]) for each in rules["rules"]] == [("chest", "Modality equals CT")]
        back = admin.post(f"{URL}/rollback", json={"number": 1, "comment": ""}).json()
        assert back["revision"] == 3
        page = admin.get(f"{URL}/revisions", params={"limit": 2}).json()
        rest = admin.get(f"{URL}/revisions", params={"cursor": page["next"]}).json()
        assert [row["origin"] for row in (*page["items"], *rest["items"])] == ["rollback", "publish", "import"]
        assert admin.get(f"{URL}/revisions/1").json()["document"]["rules"] == []
        assert admin.get(f"{URL}/diff", params={"before": "1", "after": "2"}).json()["rules"][0]["kind"] == "added"


def run_waiting(bench: FlowBench) -> None:
    loop = Replayer(bench.flow)
    loop._begun = True
    while loop._look():
        pass


def test_what_is_refused_says_where(bench: FlowBench) -> None:
    with client(Headless(bench.flow), "admin") as admin:
        wrong = {"destinations": [PACS], "rules": [rule(when={"attribute": "Modalty", "equals": "CT"})]}
        answer = admin.put(f"{URL}/draft", json={"version": 0, "document": wrong})
        assert answer.status_code == 422
        assert answer.json()["problems"][0]["path"] == "rules[0].when.attribute"
        assert admin.put(f"{URL}/draft", json={"version": 4, "document": {}}).status_code == 409
        assert admin.put(f"{URL}/draft", json={"version": 0}).status_code == 422
        for path in ("revisions/99", "replays/99", "replays/99/changes", "evidence/none", "explain?series=1.2.9"):
            assert admin.get(f"{URL}/{path}").status_code == 404, path
        assert admin.get(f"{URL}/diff", params={"before": "x"}).status_code == 422


def test_patients_are_hidden_in_explanations_and_changes(bench: FlowBench) -> None:
    tests = [{"attribute": "PatientName", "contains": "nobody"}, {"attribute": "PatientID", "equals": "x"}]
    asks = rule(when={"any": [*tests, {"attribute": "Modality", "equals": "CT"}]})
    uid = bench.series()[0].uid
    with client(Headless(bench.flow), "operator") as hidden:
        hidden.put(f"{URL}/draft", json={"version": 0, "document": {"destinations": [PACS], "rules": [asks]}})
        replay = hidden.post(f"{URL}/replays", json={}).json()
        run_waiting(bench)
        texts = [
            hidden.get(f"{URL}/explain", params={"series": uid, "draft": True}).text,
            hidden.get(f"{URL}/replays/{replay['id']}/changes").text,
            hidden.get(f"{URL}/attributes", params={"q": "patient"}).text,
        ]
        assert "Modality" in texts[0]
        assert not any("secret" in text.casefold() for text in texts)
    with client(Headless(bench.flow), "operator", names_shown=True, name="other") as seeing:
        assert "SECRET-1" not in seeing.get(f"{URL}/explain", params={"series": uid, "draft": True}).text
        asked = {"series": uid, "draft": True, "names": True}
        assert "SECRET-1" in seeing.get(f"{URL}/explain", params=asked).text


def test_words_for_the_editor_come_with_what_is_seen_here(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node")
    for number in range(3):
        dataset = real_file("CT_small.dcm")
        dataset.SeriesInstanceUID, dataset.PatientID = generate_uid(), f"patient {number}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        bench.receive(dataset)
    bench.complete()
    with client(Headless(bench.flow), "viewer") as viewer:
        (first, *_) = viewer.get(f"{URL}/attributes", params={"q": "slicethick"}).json()
        assert (first["name"], first["tag"], first["vr"], first["seen"]) == ("SliceThickness", "00180050", "DS", 3)
        assert [value["series"] for value in first["values"]] == [3]
        by_tag = viewer.get(f"{URL}/attributes", params={"q": "(0018,0050)"}).json()
        assert [word["name"] for word in by_tag] == ["SliceThickness"]
        private = viewer.get(f"{URL}/attributes", params={"q": "GEMS_ACQU"}).json()
        assert {word["private_creator"] for word in private} == {"GEMS_ACQU_01"}
        facts = viewer.get(f"{URL}/attributes", params={"q": "_count"}).json()
        assert facts[0] == {
            "kind": "fact", "name": "instance_count", "title": "instances of the series that arrived", "tag": "",
            "vr": "", "private_creator": "", "seen": 0, "values": [],
        }  # fmt: skip
        for personal in ("PatientID", "StudyDate", "SOPInstanceUID", "PatientSex"):
            found = viewer.get(f"{URL}/attributes", params={"q": personal}).json()
            assert [word["values"] for word in found if word["name"] == personal] == [[]], personal
        assert "strength" in viewer.get(f"{URL}/pipelines").json()["ct-denoise"]["properties"]
