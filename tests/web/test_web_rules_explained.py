"""What the rules' pages explain: why not, what is seen here, how often, what a change would do."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from support.htmlform import form_at
from support.pastseries import remember
from support.rulepages import CHEST, MASKED, PACS, ROOT, SCRIPT, edited, replayed, version, with_chest
from support.webapp import Headless, client

from dicomnode.db.database import now as database_now
from dicomnode.db.models import RuleDecision
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.desk.rules.editing import put_rule
from dicomnode.desk.rules.in_force import rules_in_force
from dicomnode.desk.rules.publish import import_site


@pytest.fixture
def node(tmp_path) -> Headless:
    return with_chest(tmp_path)


@pytest.fixture
def admin(node) -> TestClient:
    return client(node, "admin", name="amelie")


def test_explain_says_why_not_and_hides_what_tells_of_a_patient(node, admin):
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": [CHEST, MASKED]}, "")
    uid = remember(node.flow, 4, SeriesDescription=f"Abdomen {SCRIPT}")
    page = admin.get(f"/rules/explain?series={uid}").text
    assert "Does not match: SeriesDescription contains chest: seen &#34;Abdomen &lt;script&gt;" in page
    assert "PatientID equals P3: seen ••••" in page
    assert ">P4" not in page
    assert " P4" not in page
    with node.flow.database.read() as session:
        assert "patient.viewed" not in [event.kind for event in audit_rows.listing(session, limit=20)]
    seer = client(node, "radiologist", names_shown=True, name="ruth")
    put_rule(node.flow, ROOT, {**CHEST, "name": "all", "when": {"all": []}}, int(version(node)))
    page = seer.get(f"/rules/explain?series={uid}").text
    assert "PatientID equals P3: seen P4" in page
    assert "By the draft" in page
    assert page.count("PatientID equals P3: seen P4") >= 2
    with node.flow.database.read() as session:
        assert "patient.viewed" in [event.kind for event in audit_rows.listing(session, limit=20)]
    assert admin.get("/rules/explain?series=1.2.3").status_code == 404
    assert "Give the UID" in admin.get("/rules/explain").text


def test_the_search_offers_facts_the_dictionary_and_what_is_seen_here(node, admin):
    for number in range(1, 5):
        remember(node.flow, number, StationName=f"{SCRIPT}A", PatientComments="VIP")
    names = [each["name"] for each in admin.get("/rules/attributes?q=slicethick").json()]
    assert names[0] == "SliceThickness"
    found = admin.get("/rules/attributes?q=StationN").json()
    assert found[0]["words"] == "Station Name (0008,1010), in 4 series here"
    assert admin.get("/rules/attributes?q=0018,0050").json()[0]["name"] == "SliceThickness"
    assert admin.get("/rules/attributes?q=instance_c").json()[0]["words"].startswith("fact: ")
    fields = {"when.attribute": "StationName", "action": "refresh", "version": "0"}
    page = admin.post("/rules/new", data=fields).text
    assert '<option value="&lt;script&gt;x&lt;/script&gt;A">in 4 series</option>' in page
    assert SCRIPT not in page
    page = admin.post("/rules/new", data={**fields, "when.attribute": "PatientComments"}).text
    assert "VIP" not in page


def decided(node: Headless, number: int, days_ago: float, *, matched: bool) -> None:
    """What completion keeps of the rule `chest` for one series."""
    uid = remember(node.flow, number)
    with node.flow.database.write() as session:
        row = RuleDecision(series_uid=uid, generation=1, revision=1, rule="chest", rule_state="live", matched=matched)
        row.outcome, row.deliver_to, row.explanation = "", [], {}
        row.decided_at = database_now(session) - timedelta(days=days_ago)
        session.add(row)


def test_matches_of_the_last_seven_days_are_counted(node, admin):
    days = (30, 9, 7.1, 6.9, 5, 3, 1, 0.1)
    for number, days_ago in enumerate(days):
        decided(node, number + 1, days_ago, matched=number != 5)
    assert rules_in_force(node.flow).rules[0].matches == 4
    assert '<td class="num">4</td>' in admin.get("/rules").text


def test_a_change_of_how_it_is_done_is_told_on_both_sides(node, admin):
    remember(node.flow, 1, SeriesDescription="Chest")
    edited(admin, priority="stat", deadline_minutes="30")
    form = form_at(admin.get("/rules/draft").text, "/rules/draft/replay")
    admin.post(form.action, data=form.fields())
    replayed(node)
    page = admin.get("/rules/replays/1").text
    assert "matches: passthrough; delivers to pacs; priority normal; deadline in minutes: none" in page
    assert "matches: passthrough; delivers to pacs; priority stat; deadline in minutes: 30" in page


def test_an_explanation_tells_of_originals_and_of_the_draft_what_differs(node, admin):
    onward = {"name": "onward", "state": "live", "when": {"all": []}, "forward_original_to": ["pacs"]}
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": [CHEST, onward]}, "")
    uid = remember(node.flow, 1, {"calling_aet": "CT1"}, SeriesDescription="Chest")
    assert '<abbr title="Originals are decided on' in admin.get("/rules").text
    page = admin.get(f"/rules/explain?series={uid}").text
    assert "Forwards 5 of 5 instances to pacs." in page
    edited(admin, **{"when.value": "Abdomen"})
    page = admin.get(f"/rules/explain?series={uid}").text
    assert "1 other rule says what the revision in force says." in page
    assert page.count("Forwards 5 of 5 instances to pacs.") == 1
    edited(admin, **{"when.value": "chest", "deadline_minutes": "5"})
    assert "Every rule of the draft says what" in admin.get(f"/rules/explain?series={uid}").text
