"""What rules saw of patients: hidden from who does not see them, an event where it is shown; pages and API alike."""

from collections.abc import Sequence

import pytest
from fastapi.testclient import TestClient
from pydicom.uid import generate_uid
from support.desks import PACS, rule
from support.flowbench import FlowBench
from support.pastseries import remember
from support.rulesets import real_file
from support.webapp import Headless, client, headless

from dicomnode.db.repositories import audit as audit_rows
from dicomnode.desk.patients import HIDDEN
from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import read_draft, save_draft
from dicomnode.desk.rules.hiding import tells_of_patient
from dicomnode.desk.rules.publish import import_site
from dicomnode.desk.rules.replay import start_replay
from dicomnode.desk.rules.replaying.running import run_replay

ROOT = Person("root", ("admin",))
SEEN = {
    "PatientBirthDate": "19500607",
    "ReferringPhysicianName": "House^Gregory",
    "RequestedProcedureDescription": "HIV staging",
    "AccessionNumber": "ACC-77",
}
ASKED = {"PatientBirthDate": "PatientBirthDate", "ReferringPhysicianName": "ReferringPhysicianName",
         "RequestedProcedureDescription": "RequestedProcedureDescription", "AccessionNumber": "0008,0050"}  # fmt: skip


def rules(**first: object) -> dict[str, object]:
    """Four rules that ask of the patient; the first, `birth`, differs with `first`."""
    asking = [rule(name.lower(), when={"attribute": asked, "equals": "X"}) for name, asked in ASKED.items()]
    return {"destinations": [PACS], "rules": [{**asking[0], **first}, *asking[1:]]}


@pytest.fixture
def node(tmp_path) -> Headless:
    """One series of the past; the draft's first rule takes in what the one in force does not."""
    node = headless(tmp_path)
    remember(node.flow, 1, **SEEN)
    import_site(node.flow, ROOT, rules(), "")
    save_draft(node.flow, ROOT, rules(when={"all": []}), read_draft(node.flow).version)
    assert run_replay(node.flow, start_replay(node.flow, ROOT, inline=True)).state == "done"
    return node


def told(browser: TestClient, address: str, **params: object) -> str:
    answer = browser.get(address, params={"series": "1.2.840.1"} | params if "explain" in address else params)
    assert answer.status_code == 200
    return answer.text


def looks(node: Headless, actor: str) -> Sequence[str]:
    with node.flow.database.read() as session:
        found = audit_rows.listing(session, limit=50)
    return [event.subject or "" for event in found if (event.kind, event.actor) == ("patient.viewed", actor)]


PLACES = ("/rules/explain", "/api/v1/rules/explain", "/rules/replays/1", "/api/v1/rules/replays/1/changes")


@pytest.mark.parametrize("address", PLACES)
def test_a_viewer_reads_no_value_of_a_patient(node, address):
    text = told(client(node, "viewer"), address)
    assert not [value for value in SEEN.values() if value in text]
    assert HIDDEN in text
    assert looks(node, "viewer") == []


@pytest.mark.parametrize("address", PLACES)
def test_who_sees_patients_reads_them_and_the_log_tells(node, address):
    seer = client(node, "radiologist", names_shown=True, name="ruth")
    params = {"names": True} if "api" in address else {}
    assert "19500607" in told(seer, address, **params)
    what = "the explanation of a series" if "explain" in address else "the series of replay 1"
    assert looks(node, "ruth") == [what]
    told(seer, address, **params)
    assert looks(node, "ruth") == [what]


@pytest.mark.parametrize("address", [each for each in PLACES if "api" in each])
def test_a_program_asks_for_names_in_so_many_words(node, address):
    seer = client(node, "radiologist", names_shown=True, name="ruth")
    assert "19500607" not in told(seer, address)
    assert looks(node, "ruth") == []
    asked = client(node, "viewer").get(address, params={"series": "1.2.840.1", "names": True})
    assert asked.status_code == 403


def test_the_story_tells_why_not_without_what_was_seen_of_the_patient(tmp_path):
    asked = [{"attribute": "PatientBirthDate", "equals": "20000101"}, {"attribute": "Modality", "equals": "MR"}]
    excluded = {"not": {"attribute": "PatientSex", "equals": "O"}}
    bench = FlowBench(tmp_path / "node")
    import_site(bench.flow, ROOT, {"destinations": [PACS], "rules": [rule(when={"all": [*asked, excluded]})]}, "")
    dataset = real_file("CT_small.dcm")
    dataset.PatientBirthDate, dataset.SeriesInstanceUID = "19500607", generate_uid()
    bench.receive(dataset)
    bench.complete()
    uid, node = bench.series()[0].uid, Headless(bench.flow)
    viewer = client(node, "viewer")
    for address in (f"/series/{uid}", f"/api/v1/series/{uid}/story"):
        hidden = viewer.get(address).text
        assert f"PatientBirthDate equals 20000101: seen {HIDDEN}; Modality equals MR: seen CT; " in hidden
        assert f"PatientSex equals O: seen {HIDDEN}, which the rule excludes" in hidden
        assert "19500607" not in hidden
    seer = client(node, "radiologist", names_shown=True)
    assert "PatientBirthDate equals 20000101: seen 19500607" in seer.get(f"/series/{uid}").text


@pytest.mark.parametrize("name", ["0008,0050", "AccessionNumber", "0020,0010", "0010,0030", "PatientSex", "0029,1010"])
def test_an_attribute_tells_of_a_patient_however_it_is_written(name):
    assert tells_of_patient(name)
    assert not tells_of_patient("0008,0060")


def test_each_page_of_names_is_a_look(tmp_path):
    node = headless(tmp_path)
    for number in range(1, 6):
        remember(node.flow, number)
    browser, cursor, seen = client(node, "radiologist", names_shown=True), "", []
    while cursor is not None:
        for _ in range(2):  # the same look twice
            page = browser.get("/api/v1/series", params={"names": True, "limit": 2, "cursor": cursor}).json()
        seen += [row["patient_name"] for row in page["items"]]
        cursor = page["next"]
    assert sorted(seen) == ["N1", "N2", "N3", "N4", "N5"]
    with node.flow.database.read() as session:
        found = [row.detail for row in audit_rows.listing(session, limit=50) if row.kind == "patient.viewed"]
    assert [detail["shown"] for detail in found] == [2, 2, 1]
    assert [detail.get("filters", {}).get("after", "").rpartition(" ")[2] for detail in found] == [
        "", "1.2.840.2", "1.2.840.4",
    ]  # fmt: skip
