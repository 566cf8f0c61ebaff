"""Two people at one destination: who was slower sees what saving would undo, and loses nothing that was written."""

import pytest
from support.htmlform import form_at
from support.rulepages import PACS, ROOT, version
from support.webapp import Headless, client, headless

from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.editing import put_destination, remove_destination
from dicomnode.desk.rules.publish import import_site

ADDRESS = "/destinations/pacs/edit"


@pytest.fixture
def node(tmp_path) -> Headless:
    node = headless(tmp_path)
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": []}, "")
    return node


def test_who_was_slower_sees_what_the_other_changed_before_saving_again(node):
    ana = client(node, "admin", name="ana")
    form = form_at(ana.get(ADDRESS).text, ADDRESS)
    put_destination(node.flow, ROOT, {**PACS, "port": 11112}, 0, name="pacs")
    page = ana.post(ADDRESS, data=form.fields(description="main PACS"))
    assert page.status_code == 409
    assert "Somebody was quicker" in page.text
    assert "root changed it" in page.text
    assert "<del>port: 11112</del><ins>port: 104</ins>" in page.text
    assert "<ins>description: main PACS</ins>" in page.text
    again = form_at(page.text, ADDRESS)
    assert again.fields()["description"] == ["main PACS"]
    assert read_draft(node.flow).site.destinations[0].port == 11112
    assert ana.post(ADDRESS, data=again.fields(port="11112")).status_code == 303
    found = read_draft(node.flow).site.destinations[0]
    assert (found.port, found.description) == (11112, "main PACS")


def test_what_somebody_took_out_meanwhile_may_be_added_again(node):
    ana = client(node, "admin", name="ana")
    form = form_at(ana.get(ADDRESS).text, ADDRESS)
    remove_destination(node.flow, ROOT, "pacs", int(version(node)))
    page = ana.post(ADDRESS, data=form.fields())
    assert page.status_code == 409
    assert "The draft has no destination pacs any more" in page.text
    again = form_at(page.text, "/destinations/new")
    assert ana.post(again.action, data=again.fields()).status_code == 303
    assert [each.name for each in read_draft(node.flow).site.destinations] == ["pacs"]


def test_what_is_wrong_beside_is_told_by_the_next_save(node):
    ana = client(node, "admin", name="ana")
    form = form_at(ana.get(ADDRESS).text, ADDRESS)
    put_destination(node.flow, ROOT, {**PACS, "port": 11112}, 0, name="pacs")
    page = ana.post(ADDRESS, data=form.fields(port="99999"))
    assert page.status_code == 409
    assert ana.post(ADDRESS, data=form_at(page.text, ADDRESS).fields()).status_code == 422
