"""The editor of a rule without JavaScript: every button is a round trip, and nothing is lost on it."""

from pathlib import Path
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from support.htmlform import Form, form_at
from support.rulesamples import DESTINATIONS, PIPELINES, rules
from support.webapp import Headless, client, headless

from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import discard_draft, read_draft
from dicomnode.desk.rules.editing import put_rule, remove_rule
from dicomnode.desk.rules.publish import import_site
from dicomnode.enhance.api import Acceptance, Pipeline
from dicomnode.enhance.registry import Entry, Registry

ROOT = Person("root", (), "command line")
CHEST = {
    "name": "chest",
    "state": "shadow",
    "when": {"all": [{"attribute": "Modality", "equals": "CT"}, {"not": {"fact": "has_localizer", "equals": True}}]},
    "enhance": {"pipeline": "denoise", "params": {"strength": 0.5}},
}
IMAGE = '"><img src=x onerror=alert(1)>'


def _pipeline(name: str) -> type[Pipeline]:
    def accepts(self: Pipeline, series: object) -> Acceptance:
        return Acceptance.yes()

    body = {"name": name, "version": "1", "Params": PIPELINES[name], "accepts": accepts, "enhance": lambda *_: None}
    return type(name, (Pipeline,), body)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Headless:
    """Has the pipelines of the samples."""
    node = headless(tmp_path_factory.mktemp("node"))
    node.flow.registry = Registry(Entry(name, Path(f"{name}.py"), "1", _pipeline(name)) for name in PIPELINES)
    return node


@pytest.fixture(scope="module")
def admin(node: Headless) -> TestClient:
    return client(node, "admin", name="amelie")


def put(node: Headless, rule: dict) -> str:
    """Have this rule alone in force and in the draft; the address of its editor."""
    discard_draft(node.flow, ROOT, read_draft(node.flow).version)
    import_site(node.flow, ROOT, {"destinations": DESTINATIONS, "rules": [rule]}, "")
    return f"/rules/edit?{urlencode({'name': rule['name']})}"


def opened(admin: TestClient, address: str) -> Form:
    page = admin.get(address)
    assert page.status_code == 200
    return form_at(page.text, address)


def pressed(admin: TestClient, form: Form, action: str, **instead: str | None) -> Form:
    """The form that comes back after a button."""
    page = admin.post(form.action, data=form.fields(action=action, **instead))
    assert page.status_code in (200, 409, 422), page.text
    return form_at(page.text, form.action)


def written(node: Headless) -> list[dict]:
    return [rule.to_document() for rule in read_draft(node.flow).site.rules]


@given(rule=rules())
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_rule_that_is_opened_and_saved_untouched_is_the_same(node, admin, rule):
    form = opened(admin, put(node, rule))
    answer = admin.post(form.action, data=form.fields(action="save"))
    assert answer.status_code == 303, answer.text
    assert written(node) == [rule]
    assert not read_draft(node.flow).touched


@given(rule=rules())
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_rule_survives_the_way_to_yaml_and_back(node, admin, rule):
    form = opened(admin, put(node, rule))
    form = pressed(admin, form, "yaml")
    assert "when.kind" not in form.fields()
    assert "yaml" in form.fields()
    form = pressed(admin, form, "form")
    assert "yaml" not in form.fields()
    assert admin.post(form.action, data=form.fields(action="save")).status_code == 303
    assert written(node) == [rule]


def test_a_rule_is_built_button_by_button(node, admin):
    put(node, CHEST)
    form = opened(admin, "/rules/new")
    first = {"when.0.attribute": "Modality", "when.0.operator": "in", "when.0.value": "CT"}
    form = pressed(admin, form, "value:when.0", name="built", **first)
    form.pairs = [(name, "MR" if (name, value) == ("when.0.value", "") else value) for name, value in form.pairs]
    form = pressed(admin, form, "group:when")
    inner = {"when.1.0.attribute": "SliceThickness", "when.1.0.operator": "between"}
    form = pressed(admin, form, "add:when.1", **inner)
    form.pairs.remove(("when.1.0.value", ""))
    form.pairs = [(name, "1" if (name, value) == ("when.1.0.value", "") else value) for name, value in form.pairs]
    form.pairs.append(("when.1.0.value", "2.5"))
    form = pressed(admin, form, "remove:when.1.1")
    form = pressed(admin, form, "add:when")
    form = pressed(admin, form, "up:when.2", **{"when.2.attribute": "instance_count", "when.2.operator": "exists"})
    form = pressed(admin, form, "refresh", pipeline="denoise")
    sent = form.fields(action="save", **{"params.passes": "3", "params.guards.change": "1.2", "deliver_to": "pacs"})
    assert admin.post(form.action, data=sent).headers["location"] == "/rules/draft?saved=built"
    assert written(node)[-1] == {
        "name": "built",
        "state": "draft",
        "when": {
            "all": [
                {"attribute": "Modality", "in": ["CT", "MR"]},
                {"fact": "instance_count", "exists": True},
                {"any": [{"attribute": "SliceThickness", "between": [1, 2.5]}]},
            ]
        },
        "enhance": {"pipeline": "denoise", "params": {"passes": 3, "guards": {"change": 1.2}}},
        "deliver_to": ["pacs"],
    }


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_saved(node, admin):
    form = opened(admin, put(node, CHEST))
    wrong = {"when.0.attribute": "Modalty", "params.strength": "7", "name": ""}
    page = admin.post(form.action, data=form.fields(action="save", **wrong))
    assert page.status_code == 422
    assert "Did you mean Modality or" in page.text
    assert 'id="when.0.attribute-problem"' in page.text
    assert page.text.count('aria-invalid="true"') == 3
    assert 'href="#params.strength"' in page.text
    again = form_at(page.text, form.action).fields()
    assert (again["when.0.attribute"], again["params.strength"], again["name"]) == (["Modalty"], ["7"], [""])
    assert written(node) == [CHEST]


def test_yaml_that_is_wrong_is_shown_with_its_lines(node, admin):
    form = pressed(admin, opened(admin, put(node, CHEST)), "yaml")
    text = form.fields()["yaml"][0].replace("Modality", "Modalty")
    for action, status in (("save", 422), ("check", 200)):
        page = admin.post(form.action, data=form.fields(action=action, yaml=text))
        assert page.status_code == status
        assert 'href="#line-5"' in page.text
        assert 'id="line-5" class="wrong"' in page.text
    for text in ("a: [", "[]", "", "&a x", "name: 5\nwhen: all", "when: {any: x, all: 7}\nenhance: 3\ndeliver_to: 1"):
        page = admin.post(form.action, data=form.fields(action="form", yaml=text))
        assert page.status_code == 200
        assert form_at(page.text, form.action).fields()["yaml"][0].strip() == text.replace("\n", "\r\n")
        assert "cannot be saved yet" in page.text


def test_a_half_written_rule_goes_to_yaml_and_back(node, admin):
    put(node, CHEST)
    form = pressed(admin, opened(admin, "/rules/new"), "yaml", **{"when.0.value": "CT"})
    back = pressed(admin, form, "form").fields()
    assert (back["when.0.attribute"], back["when.0.value"]) == ([""], ["CT"])


def test_who_was_slower_keeps_what_was_written_and_may_save_it_after_looking(node, admin):
    form = opened(admin, put(node, CHEST))
    put_rule(node.flow, ROOT, {**CHEST, "priority": "stat"}, read_draft(node.flow).version, name="chest")
    page = admin.post(form.action, data=form.fields(action="save", deadline_minutes="9"))
    assert page.status_code == 409
    assert "Somebody was quicker" in page.text
    assert "root changed it" in page.text
    assert "<del>priority: stat</del>" in page.text
    assert "<ins>deadline_minutes: 9</ins>" in page.text
    again = form_at(page.text, form.action)
    assert again.fields()["deadline_minutes"] == ["9"]
    assert written(node) == [{**CHEST, "priority": "stat"}]
    assert admin.post(form.action, data=again.fields(action="save")).status_code == 303
    assert written(node) == [{**CHEST, "deadline_minutes": 9}]


def test_who_edits_a_rule_that_somebody_takes_out_may_add_it_again(node, admin):
    form = opened(admin, put(node, CHEST))
    remove_rule(node.flow, ROOT, "chest", read_draft(node.flow).version)
    page = admin.post(form.action, data=form.fields(action="save", deadline_minutes="9"))
    assert page.status_code == 409
    assert "The draft has no rule chest any more" in page.text
    again = form_at(page.text, "/rules/new")
    assert admin.post(again.action, data=again.fields(action="save")).status_code == 303
    assert written(node) == [{**CHEST, "deadline_minutes": 9}]


def test_a_rule_that_can_never_match_is_told_before_it_is_saved(node, admin):
    form = opened(admin, put(node, {**CHEST, "when": {"fact": "instance_count", "lt": 1}}))
    page = admin.post(form.action, data=form.fields(action="check")).text
    assert "no series can ever match it" in page
    assert "instance_count is less than 1." in page


def test_names_and_values_are_never_html(node, admin):
    rule = {**CHEST, "name": IMAGE[:60], "when": {"attribute": "SeriesDescription", "in": [IMAGE, "<script>"]}}
    address = put(node, rule)
    for page in (admin.get(address), admin.get("/rules"), admin.get("/rules/draft"), admin.get("/rules/revisions")):
        assert page.status_code == 200
        assert "<img" not in page.text
        assert "<script>" not in page.text
    form = opened(admin, address)
    page = admin.post(address, data=form.fields(action="yaml"))
    assert "<img" not in page.text


def test_what_is_no_form_is_refused(admin):
    assert admin.post("/rules/new", content=b"a=%ff", headers={"Content-Type": "x"}).status_code == 422
    assert admin.post("/rules/new", content=b"&".join([b"a=1"] * 20_001)).status_code == 422
    assert admin.post("/rules/new", content=b"a=" + b"x" * (2 << 20)).status_code == 422
    assert admin.get("/rules/edit?name=nowhere").status_code == 404
    assert admin.post("/rules/new", data={"action": "explode", "version": "x"}).status_code == 200
    assert admin.post("/rules/new", data={"action": "save", "version": "x", "name": "n"}).status_code == 422


def test_an_operator_writes_rules_and_a_viewer_does_not(node):
    put(node, CHEST)
    assert client(node, "operator").get("/rules/new").status_code == 200
    assert client(node, "viewer").get("/rules/new").status_code == 403
