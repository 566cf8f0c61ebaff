"""The pages of the rules, without JavaScript: a draft is written, tried on the past, published, rolled back."""

import pytest
from fastapi.testclient import TestClient
from support.htmlform import form_at, forms_of
from support.pastseries import remember
from support.rulepages import CHEST, MASKED, PACS, ROOT, SCRIPT, edited, replayed, version, with_chest
from support.webapp import Headless, client, headless

from dicomnode.db.repositories import audit as audit_rows
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.editing import put_rule
from dicomnode.desk.rules.publish import import_site
from dicomnode.desk.rules.replay import replay_of_draft
from dicomnode.web.paging import encode


@pytest.fixture
def node(tmp_path) -> Headless:
    return with_chest(tmp_path)


@pytest.fixture
def admin(node) -> TestClient:
    return client(node, "admin", name="amelie")


def test_from_an_edit_to_publication_and_back(node, admin):
    for number in range(1, 7):
        remember(node.flow, number, SeriesDescription="Chest" if number < 5 else "Abdomen")
    edited(admin, **{"when.operator": "equals", "when.value": "Abdomen"})

    page = admin.get("/rules").text
    assert "amelie changed it last" in page
    assert "1 change, not replayed" in page
    page = admin.get("/rules/draft").text
    assert "contains chest" in page
    assert "equals Abdomen" in page
    assert "nobody has tried this draft" in page
    assert not [form for form in forms_of(page) if form.action == "/rules/draft/publish"]
    refused = admin.post("/rules/draft/publish", data={"version": version(node), "comment": "now"})
    assert (refused.status_code, read_draft(node.flow).base) == (409, 1)

    form = form_at(page, "/rules/draft/replay")
    assert admin.post(form.action, data=form.fields()).headers["location"] == "/rules/draft#trial"
    page = admin.get("/rules/draft/trial").text
    assert 'hx-get="/rules/draft/trial"' in page
    assert "<html" not in page
    replayed(node)
    page = admin.get("/rules/draft").text
    assert "6 series, 6 change: 2 gain passthrough, 4 lose" in page
    assert "hx-get" not in page
    assert "replayed: 6 series, 6 change" in admin.get("/rules").text

    replay = replay_of_draft(node.flow)
    page = admin.get(f"/rules/replays/{replay.id}?kind=gains").text
    assert page.count('href="/series/1.2.840.') == 2
    assert "does not match: SeriesDescription contains chest: seen Abdomen" in page
    assert admin.get(f"/rules/replays/{replay.id}?rule=nothing").text.count("No series changes in this way") == 1

    form = form_at(admin.get("/rules/draft").text, "/rules/draft/publish")
    assert admin.post(form.action, data=form.fields()).status_code == 422
    done = admin.post(form.action, data=form.fields(comment=f"the abdomen {SCRIPT}"))
    assert done.headers["location"] == "/rules/revisions/2?published=1"
    page = admin.get(done.headers["location"]).text
    assert "Revision 2 is in force" in page
    assert "6 series, 6 change" in page
    assert SCRIPT not in page
    assert "&lt;script&gt;" in page

    page = admin.get("/rules/revisions").text
    assert page.index("/rules/revisions/2") < page.index("/rules/revisions/1")
    assert SCRIPT not in page
    address = "/rules/revisions/1/rollback"
    form = form_at(admin.get(address).text, address)
    done = admin.post(address, data=form.fields())
    assert done.headers["location"] == "/rules/revisions/3?published=1"
    page = admin.get(done.headers["location"]).text
    assert "back to revision 1" in page
    with node.flow.database.read() as session:
        assert node.flow.site.get(session)[1].rules[0].to_document() == CHEST
        kinds = [event.kind for event in audit_rows.listing(session, limit=20) if event.actor == "amelie"]
    assert set(kinds) >= {"site.rolled_back", "site.published", "replay.started", "draft.saved"}


def test_a_first_destination_is_published_without_a_rule(tmp_path):
    node = headless(tmp_path)
    admin = client(node, "admin", name="amelie")
    form = form_at(admin.get("/destinations/new").text, "/destinations/new")
    sent = form.fields(name="north / pacs", ae_title="ORTHANC", host="127.0.0.1", port="4242")
    assert admin.post("/destinations/new", data=sent).headers["location"] == "/rules/draft?saved=north+%2F+pacs"
    replayed(node)
    page = admin.get("/rules/draft?saved=north").text
    assert "No series came in that time: nothing changes for any." in page
    form = form_at(page, "/rules/draft/publish")
    done = admin.post(form.action, data=form.fields(comment="the first"))
    assert "To the destinations" in admin.get(done.headers["location"]).text
    with node.flow.database.read() as session:
        assert node.flow.site.get(session)[1].destinations[0].port == 4242

    address = "/destinations/north%20/%20pacs/edit"
    form = form_at(admin.get(address).text, address)
    assert form.fields()["name"] == ["north / pacs"]
    admin.post(address, data=form.fields(name="north", confirm="none", enabled=None, associations="4"))
    changed = read_draft(node.flow).site.destinations[0]
    assert (changed.name, changed.confirm, changed.enabled, changed.associations) == ("north", "none", False, 4)


def test_a_destination_that_is_wrong_is_told_at_its_fields(node, admin):
    form = form_at(admin.get("/destinations/new").text, "/destinations/new")
    wrong = form.fields(name="PACS", ae_title="WAY TOO LONG A TITLE", host="127.0.0.1", port="99999", associations="x")
    page = admin.post("/destinations/new", data=wrong)
    assert page.status_code == 422
    assert page.text.count('class="error"') == 4
    assert form_at(page.text, "/destinations/new").fields()["port"] == ["99999"]
    page = admin.post("/destinations/new", data=form.fields(name="far", ae_title="FAR", host="8.8.8.8", port="104"))
    assert page.status_code == 422
    assert "web.destination_networks" in page.text
    page = admin.get("/destinations/pacs/remove")
    assert "chest" in page.text
    refused = admin.post("/destinations/pacs/remove", data={"version": version(node)})
    assert refused.status_code == 409
    assert not read_draft(node.flow).touched
    assert admin.get("/destinations/nowhere/edit").status_code == 404


def test_rules_of_the_draft_move_change_state_and_go(node, admin):
    put_rule(node.flow, ROOT, MASKED, 0)
    post = admin.post
    assert post("/rules/draft/move", data={"version": version(node), "name": "chest", "place": 1}).status_code == 303
    assert [rule.name for rule in read_draft(node.flow).site.rules] == ["one patient", "chest"]
    post("/rules/draft/state", data={"version": version(node), "name": "chest", "state": "shadow"})
    assert read_draft(node.flow).site.rules[1].state == "shadow"
    page = admin.get("/rules/promote?name=chest").text
    assert "Never run as a shadow" in page
    form = form_at(page, "/rules/promote?name=chest")
    assert post(form.action, data=form.fields()).status_code == 303
    assert read_draft(node.flow).site.rules[1].state == "live"
    post("/rules/draft/remove", data={"version": version(node), "name": "chest"})
    assert [rule.name for rule in read_draft(node.flow).site.rules] == ["one patient"]
    form = form_at(admin.get("/rules/draft/discard").text, "/rules/draft/discard")
    assert post(form.action, data=form.fields()).headers["location"] == "/rules"
    assert not read_draft(node.flow).touched


def test_a_rule_of_the_draft_can_be_had_as_it_was(node, admin):
    put_rule(node.flow, ROOT, MASKED, 0, place=0)
    edited(admin, **{"when.value": "Abdomen"})
    forms = forms_of(admin.get("/rules/draft").text)
    (undo,) = (form for form in forms if form.action == "/rules/draft/restore")
    assert admin.post(undo.action, data=undo.fields()).status_code == 303
    assert [rule.to_document() for rule in read_draft(node.flow).site.rules] == [MASKED, CHEST]
    admin.post("/rules/draft/remove", data={"version": version(node), "name": "chest"})
    page = admin.get("/rules/draft").text
    assert "Taken out" in page
    (back,) = (form for form in forms_of(page) if form.action == "/rules/draft/restore")
    assert admin.post(back.action, data=back.fields()).status_code == 303
    assert [rule.name for rule in read_draft(node.flow).site.rules] == ["chest", "one patient"]
    missing = {"version": version(node), "name": "one patient"}
    assert admin.post("/rules/draft/restore", data=missing).status_code == 404


def test_a_rule_that_cannot_go_live_says_why(node, admin):
    put_rule(node.flow, ROOT, {**CHEST, "name": "shy", "state": "shadow", "deliver_to": []}, 0)
    page = admin.get("/rules/promote?name=shy").text
    assert "It delivers to nobody yet" in page
    assert "Live in the draft" not in page
    admin.post("/rules/draft/discard", data={"version": version(node)})
    put_rule(node.flow, ROOT, {**CHEST, "name": "nowhere", "state": "shadow", "deliver_to": []}, int(version(node)))
    page = admin.post("/rules/promote?name=nowhere", data={"version": version(node)})
    assert page.status_code == 422
    assert "must deliver somewhere" in page.text


def test_the_evidence_of_a_shadow(node, admin):
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": [{**CHEST, "state": "shadow"}]}, "")
    page = admin.get("/rules/promote?name=chest").text
    assert "0 fitted, 0 did not" in page
    assert "It fitted no series yet" in page
    put_rule(node.flow, ROOT, {**CHEST, "state": "shadow", "when": {"all": []}}, int(version(node)), name="chest")
    assert "is not the one that ran" in admin.get("/rules/promote?name=chest").text


def test_who_is_slower_sees_the_draft_as_it_is(node, admin):
    seen = version(node)
    put_rule(node.flow, ROOT, MASKED, 0)
    for path, more in (("remove", {}), ("move", {"place": 0}), ("state", {"state": "shadow"}), ("discard", {})):
        page = admin.post(f"/rules/draft/{path}", data={"version": seen, "name": "chest", **more})
        assert page.status_code == 409, path
        assert "Somebody was quicker" in page.text
        assert "root changed it" in page.text
    page = admin.post("/rules/draft/replay", data={"version": seen})
    assert page.status_code == 409
    assert "Somebody was quicker" in page.text
    assert admin.post("/rules/draft/publish", data={"version": seen, "comment": "x"}).status_code == 409
    assert len(read_draft(node.flow).site.rules) == 2


def test_a_revision_that_came_in_between_is_brought_together(node, admin):
    edited(admin, priority="stat")
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": [{**CHEST, "priority": "off-peak"}]}, "")
    page = admin.get("/rules/draft").text
    assert "Another revision came in force" in page
    assert "/rules/draft/replay" not in page
    page = admin.post("/rules/draft/rebase", data={"version": version(node)})
    assert page.status_code == 409
    assert "both changed rule chest" in page.text
    mine = next(form for form in forms_of(page.text) if form.fields().get("prefer") == ["draft"])
    assert admin.post(mine.action, data=mine.fields()).status_code == 303
    draft = read_draft(node.flow)
    assert (draft.base, draft.site.rules[0].priority) == (2, "stat")


def test_a_replay_can_be_stopped(node, admin):
    edited(admin, priority="stat")
    admin.post("/rules/draft/replay", data={"version": version(node), "days": "7"})
    replay = replay_of_draft(node.flow)
    assert admin.post(f"/rules/replays/{replay.id}/stop").status_code == 303
    assert "The replay was stopped." in admin.get("/rules/draft").text
    assert admin.post(f"/rules/replays/{replay.id}/stop").status_code == 303
    assert admin.post("/rules/replays/999/stop").status_code == 404
    assert admin.get("/rules/replays/999").status_code == 404
    assert admin.post("/rules/draft/replay", data={"version": version(node), "days": "0"}).status_code == 422


def test_a_roll_back_of_what_nobody_looked_at_is_asked_again(node, admin):
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": []}, "")
    page = admin.post("/rules/revisions/1/rollback", data={"seen": "1"})
    assert page.status_code == 409
    assert "came in force meanwhile" in page.text
    assert "nothing to roll back" in admin.get("/rules/revisions/2/rollback").text
    assert admin.get("/rules/revisions/9").status_code == 404


def test_reasons_that_tell_of_a_patient_are_hidden_in_a_replay(node, admin):
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": [MASKED]}, "")
    remember(node.flow, 4)
    put_rule(node.flow, ROOT, {**MASKED, "when": {"all": []}}, 0, name="one patient")
    admin.post("/rules/draft/replay", data={"version": version(node)})
    replayed(node)
    address = f"/rules/replays/{replay_of_draft(node.flow).id}"
    page = admin.get(address).text
    assert "does not match: ••••" in page
    assert "seen P4" not in page
    seer = client(node, "radiologist", names_shown=True, name="ruth")
    assert "PatientID equals P3: seen P4" in seer.get(address).text
    with node.flow.database.read() as session:
        assert "patient.viewed" in [event.kind for event in audit_rows.listing(session, limit=5)]


def test_revisions_are_paged(node, admin):
    for number in range(55):
        import_site(node.flow, ROOT, {"destinations": [{**PACS, "port": 1 + number}], "rules": []}, f"no {number}")
    page = admin.get("/rules/revisions").text
    onward = page.split('rel="next" href="')[1].split('"')[0]
    rest = admin.get(onward).text
    assert "set up" in rest
    assert "To the first page" in rest
    assert "no 54" not in rest


def test_a_broken_pipeline_is_told(node, admin):
    page = admin.get("/rules").text
    assert "enhances with passthrough, delivers to pacs" in page
    assert '<td class="num">0</td>' in page
    node.flow.registry.entries = ()
    assert "there is no pipeline named passthrough" in admin.get("/rules").text


def test_what_no_database_takes_is_refused(node, admin):
    huge = str(1 << 70)
    for path in (f"/rules/revisions/{huge}", f"/rules/replays/{huge}", "/rules/explain?series=%00"):
        assert admin.get(path).status_code == 422
    assert admin.get(f"/rules/revisions?cursor={encode((1 << 70,))}").status_code == 422
    for path in ("/rules/draft/publish", "/rules/revisions/1/rollback"):
        assert admin.post(path, data={"version": "0", "seen": "1", "comment": "\0"}).status_code == 422
    sent = {"version": "0", "name": "nul", "when.attribute": "Modality", "when.value": '"a\\u0000"', "when.as": "exact"}
    page = admin.post("/rules/new", data={**sent, "action": "save"})
    assert page.status_code == 422
    assert "the character NUL" in page.text
    for half in ("\\0", "\\ud800"):
        text = f'name: nul\nstate: draft\nwhen: {{attribute: Modality, equals: "{half}"}}'
        for action in ("save", "check", "form"):
            page = admin.post("/rules/new", data={"version": "0", "yaml": text, "action": action})
            assert "the character NUL" in page.text
    page = admin.post("/rules/new", data={**sent, "when.value": '"\\ud800"', "action": "save"})
    assert "half a character" in page.text


def test_an_empty_node_has_its_pages(tmp_path):
    node = headless(tmp_path)
    viewer = client(node, "viewer")
    for path in ("/rules", "/rules/draft", "/rules/revisions", "/rules/explain"):
        page = viewer.get(path)
        assert page.status_code == 200
        assert page.text.count("<h1") == 1
        assert "/rules/new" not in page.text
