"""A rule as the fields of a form: nothing is lost on the way there and back."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from support.rulesamples import SCHEMAS, rules

from dicomnode.web.pages.rules.form import nodes
from dicomnode.web.pages.rules.form.edits import edit
from dicomnode.web.pages.rules.form.nodes import Group, Row, node_of, write_node
from dicomnode.web.pages.rules.form.rule import RuleForm

MIXED = {"attribute": "PatientID", "in": [7, "7", "007", True, 7.0, "a\nb"]}


@given(rules())
@example({"name": "r", "state": "draft", "when": {"all": []}})
@example({"name": "r", "state": "draft", "when": {"not": {"any": [MIXED]}}})
@example({"name": "r", "state": "draft", "when": {"not": {"any": [MIXED, {"not": {"any": [MIXED, MIXED]}}]}}})
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_rule_survives_the_fields_of_its_form(document):
    fields = RuleForm.of(document, SCHEMAS).fields()
    assert all(isinstance(value, str) for values in fields.values() for value in values)
    result = RuleForm.read(fields).result(SCHEMAS)
    assert result.problems == {}
    assert result.document == document
    assert repr(result.document["when"]) == repr(document["when"])


@given(rules())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_without_the_pipeline_its_parameters_are_kept_as_yaml(document):
    assert RuleForm.read(RuleForm.of(document, {}).fields()).result({}).document == document


def row(subject: str, operator: str, *values: str, **more: object) -> object:
    when = write_node(Row(subject, operator, values, **more), "when")
    return when.problems or when.document


def test_values_are_read_as_what_the_attribute_holds():
    assert row("SliceThickness", "le", "1.5") == {"attribute": "SliceThickness", "le": 1.5}
    assert row("PatientID", "equals", "1234") == {"attribute": "PatientID", "equals": "1234"}
    assert row("StudyDate", "ge", "20240131") == {"attribute": "StudyDate", "ge": "20240131"}
    assert row("instance_count", "in", "10", "", "20") == {"fact": "instance_count", "in": [10, 20]}
    assert row("spacing_uniform", "equals", "true") == {"fact": "spacing_uniform", "equals": True}
    assert row("0019,100C", "ge", "800", creator="X") == {"attribute": "0019,100C", "private_creator": "X", "ge": 800}
    assert row("0019,100C", "equals", "007", creator="X")["equals"] == "007"
    assert row("SliceThickness", "contains", "5") == {"attribute": "SliceThickness", "contains": "5"}
    assert row("SliceThickness", "absent") == {"attribute": "SliceThickness", "exists": False}
    assert row("PatientID", "equals", "7", way="number") == {"attribute": "PatientID", "equals": 7}


def test_what_cannot_be_read_is_said_at_its_field_and_kept():
    assert "not a number" in row("SliceThickness", "le", "thin")["when.value"]
    assert row("SliceThickness", "between", "1", "")["when.value"] == "this is still empty."
    assert "choose an attribute" in row("", "equals", "x")["when.attribute"]
    written = write_node(Group("all", (Group("any"),)), "when")
    assert "empty" in written.problems["when.0.kind"]
    form = RuleForm.read({"when.attribute": ["SliceThickness"], "when.operator": ["le"], "when.value": ["thin"]})
    assert form.fields()["when.value"] == ["thin"]


def test_parameters_that_cannot_be_read_are_said_at_their_field():
    sent = {"pipeline": ["denoise"], "params.strength": ["much"], "params": ["[1"], "deadline_minutes": ["soon"]}
    result = RuleForm.read(sent).result(SCHEMAS)
    assert set(result.problems) >= {"params.strength", "params", "deadline_minutes"}
    assert result.document["enhance"]["params"] == {"strength": "much"}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("when.all[1].not.attribute", "when.1.0.attribute"),
        ("when.all[2].not.any[1].le", "when.2.1.value"),
        ("when.all[0].private_creator", "when.0.creator"),
        ("when.all[2].not", "when.2.kind"),
        ("when", "when.kind"),
        ("enhance.params.guards.change", "params.guards.change"),
        ("enhance.pipeline", "pipeline"),
        ("deliver_to[0]", "deliver_to"),
        ("name", "name"),
    ],
)
def test_a_problem_of_the_document_finds_its_field(path, field):
    test = {"attribute": "SliceThickness", "le": 1}
    when = {"all": [test, {"not": test}, {"not": {"any": [test, test]}}]}
    document = {"name": "r", "state": "draft", "when": when}
    assert RuleForm.of(document, SCHEMAS).result(SCHEMAS).field_of(path) == field


ONE, TWO, THREE = Row("Modality"), Row("Rows"), Row("Columns")


@pytest.mark.parametrize(
    ("action", "after", "focus"),
    [
        ("add:when", Group("all", (ONE, Group("any", (TWO, THREE)), Row())), "when.2.attribute"),
        ("add:when.1", Group("all", (ONE, Group("any", (TWO, THREE, Row())))), "when.1.2.attribute"),
        ("group:when", Group("all", (ONE, Group("any", (TWO, THREE)), Group("any", (Row(),)))), "when.2.0.attribute"),
        ("remove:when.0", Group("all", (Group("any", (TWO, THREE)),)), "when.0.kind"),
        ("remove:when.1.1", Group("all", (ONE, Group("any", (TWO,)))), "when.1.0.attribute"),
        ("remove:when", Group("all"), "when.kind"),
        ("down:when.0", Group("all", (Group("any", (TWO, THREE)), ONE)), "when.1.attribute"),
        ("up:when.1.1", Group("all", (ONE, Group("any", (THREE, TWO)))), "when.1.0.attribute"),
        ("up:when.0", Group("all", (ONE, Group("any", (TWO, THREE)))), "when.0.attribute"),
        ("wrap:when.0", Group("all", (Group("any", (ONE,)), Group("any", (TWO, THREE)))), "when.0.0.attribute"),
        ("wrap:when.1.0", Group("all", (ONE, Group("any", (Group("all", (TWO,)), THREE)))), "when.1.0.0.attribute"),
        ("unwrap:when.1", Group("all", (ONE, TWO, THREE)), "when.1.attribute"),
        ("remove:when.7", Group("all", (ONE, Group("any", (TWO, THREE)))), ""),
        ("explode:when", Group("all", (ONE, Group("any", (TWO, THREE)))), ""),
        ("add:when.²", Group("all", (ONE, Group("any", (TWO, THREE)))), ""),
    ],
)
def test_the_buttons_of_the_rows(action, after, focus):
    assert edit(Group("all", (ONE, Group("any", (TWO, THREE)))), action) == (after, focus)


def test_a_condition_that_stands_alone_becomes_a_group_when_another_joins_it():
    assert edit(ONE, "add:when") == (Group("all", (ONE, Row())), "when.1.attribute")
    assert edit(Group("any", (ONE,)), "unwrap:when") == (ONE, "when.attribute")


def test_fields_beyond_any_rule_are_left_out_in_bounded_time():
    deep = ".".join(["when", *["0"] * 4000])
    tree = nodes.read_node({f"{deep}.kind": ["all"], "when.kind": ["all"], "when.0.kind": ["all"]}, "when")
    assert isinstance(tree, Group)
    assert node_of({"all": []}) == Group("all")
