"""A roll-back on the pages, before and after: what it keeps, which rules are broken; and the form of a broken rule."""

from pathlib import Path

from support.htmlform import form_at
from support.pastseries import remember
from support.queuerows import delivery
from support.rulepages import CHEST, PACS, ROOT, with_chest
from support.webapp import client

from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.publish import import_site
from dicomnode.enhance.registry import Registry


def test_what_is_kept_and_what_is_broken_is_told_before_and_after(tmp_path: Path) -> None:
    node = with_chest(tmp_path)
    wrong = {**PACS, "name": "wrong", "port": 9}
    onward = {**CHEST, "name": "onward", "deliver_to": ["wrong"]}
    import_site(node.flow, ROOT, {"destinations": [PACS, wrong], "rules": [onward]}, "")
    series = remember(node.flow, 1)
    with node.flow.database.write() as session:
        session.add(delivery(1, "pending", destination="wrong", series_uid=series))
    node.flow.registry.entries = Registry([]).entries
    admin, address = client(node, "admin"), "/rules/revisions/1/rollback"
    asked = admin.get(address).text
    assert "Kept, as deliveries to them are not finished: wrong (1). No rule of revision 1 names them" in asked
    assert "Rule chest enhances nothing: there is no pipeline named passthrough." in asked
    done = admin.post(address, data=form_at(asked, address).fields(comment="it was wrong"))
    page = admin.get(done.headers["location"]).text
    assert "it was wrong; kept, as deliveries to them are not finished: wrong (1)" in page
    assert ">revision 1</a>, and wrong beside it" in page
    assert "Rule chest enhances nothing: there is no pipeline named passthrough." in page
    assert "nothing to roll back. Kept, as deliveries" in admin.get(address).text
    told = admin.post("/api/v1/rules/rollback", json={"number": 2, "comment": ""}).json()
    assert told["notes"] == ["rule onward enhances nothing: there is no pipeline named passthrough"]


def test_the_form_of_a_broken_rule_loses_nothing_and_makes_it_a_draft(tmp_path: Path) -> None:
    node = with_chest(tmp_path)
    rule = {**CHEST, "name": "fine", "enhance": {"pipeline": "ct-denoise", "params": {"strength": 0.4}}}
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": [CHEST, rule]}, "")
    node.flow.registry.entries = Registry([]).entries
    admin, address = client(node, "admin"), "/rules/edit?name=fine"
    form = form_at(admin.get(address).text, address)
    assert admin.post(address, data=form.fields(action="save", state="draft")).status_code == 303
    assert read_draft(node.flow).site.rules[1].to_document() == {**rule, "state": "draft"}
    assert "Its series get originals alone until that is mended." in admin.get("/rules/promote?name=fine").text
    kept = form.fields(action="save", name="another")
    assert "there is no pipeline" in admin.post(address, data=kept).text
