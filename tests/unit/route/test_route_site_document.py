"""Reading and writing the site document."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from dicomnode.domain.facts import COMPUTED_FACTS
from dicomnode.domain.site import Site
from dicomnode.route import yaml_text
from dicomnode.route.site_document import SiteRefused, check_site, complete_params, dump_site, read_site

EXAMPLE = Path(__file__).parents[3] / "config" / "site.example.yaml"


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    strength: float = Field(0.6, ge=0, le=1)
    texture: float = 1.0


PIPELINES = {"ct-denoise": Params}
DESTINATION = "destinations: [{name: pacs, kind: dimse, ae_title: PACS, host: localhost, port: 104}]\n"


def problems(text: str) -> dict[str, str]:
    with pytest.raises(SiteRefused) as caught:
        read_site(text, PIPELINES)
    return {problem.path: str(problem) for problem in caught.value.problems}


def rule(body: str) -> str:
    return f"{DESTINATION}rules:\n  - name: r\n    state: live\n    deliver_to: [pacs]\n{body}"


def when(condition: str) -> str:
    return rule(f"    enhance: {{pipeline: ct-denoise}}\n    when: {condition}\n")


def test_the_example_file_is_valid_and_survives_a_round_trip():
    site = read_site(EXAMPLE.read_text(encoding="utf-8"), PIPELINES)
    assert [rule.state for rule in site.rules] == ["live", "shadow", "draft"]
    assert site.destination("pacs").port == 4242
    assert site.destination("nowhere") is None
    text = dump_site(site)
    assert read_site(text, PIPELINES) == site
    assert dump_site(read_site(text, PIPELINES)) == text


def test_all_problems_are_told_at_once_with_path_line_and_nearest_names():
    found = problems(
        """destinations:
  - {name: pacs, kind: dimse, ae_title: ORTHANC, host: 127.0.0.1, port: 99999}
  - {name: PACS, kind: dimse, ae_title: WAY TOO LONG TITLE, host: 127.0.0.1, port: 99}
rules:
  - name: low-dose chest CT
    state: live
    when:
      all:
        - {attribute: Modality, equals: CT}
        - {attribute: Modalty, equals: CT}
        - {attribute: SeriesDescription, contans: low dose}
        - {fact: instance_cont, ge: 10}
        - {not: {attribute: "0019,100C", contains: SECONDARY}}
    enhance: {pipeline: ct-denose, params: {strength: 0.6}}
    deliver_to: [pcas]
  - name: two
    state: live
    when: {fact: instance_count, ge: 3}
    enhance: {pipeline: ct-denoise, params: {strength: 6, strenth: 1}}
    forward_original_to: [pacs]
    writer: {sop_class: sourc}
  - {name: Two, when: {all: []}, state: lve}
"""
    )
    assert list(found) == [
        "destinations[0].port",
        "destinations[1].ae_title",
        "destinations[1].name",
        "rules[0].when.all[1].attribute",
        "rules[0].when.all[2].contans",
        "rules[0].when.all[3].fact",
        "rules[0].when.all[4].not.attribute",
        "rules[0].enhance.pipeline",
        "rules[0].deliver_to[0]",
        "rules[1].enhance.params.strength",
        "rules[1].enhance.params.strenth",
        "rules[1].forward_original_to",
        "rules[1].writer.sop_class",
        "rules[2].state",
        "rules[2].name",
    ]
    assert found["rules[0].when.all[1].attribute"] == (
        "rules[0].when.all[1].attribute (line 10): 'Modalty' is not a DICOM keyword. "
        "Did you mean Modality or ModalityLUTType?"
    )
    assert found["rules[0].when.all[2].contans"].endswith("Did you mean contains?")
    assert "instance_count" in found["rules[0].when.all[3].fact"]
    assert "private_creator" in found["rules[0].when.all[4].not.attribute"]
    assert found["rules[0].enhance.pipeline"].endswith("Did you mean ct-denoise?")
    assert found["rules[0].deliver_to[0]"].endswith("Did you mean pacs?")
    assert found["rules[1].enhance.params.strenth"].endswith("Did you mean strength?")
    assert "instance_count of the series is not yet known" in found["rules[1].forward_original_to"]


@pytest.mark.parametrize(
    ("condition", "path", "words"),
    [
        ("{attribute: modality, equals: CT}", "rules[0].when.attribute", "Did you mean Modality"),
        ("{attribute: PixelData, exists: true}", "rules[0].when.attribute", "bulk data"),
        ("{attribute: '0008', exists: true}", "rules[0].when.attribute", "not a DICOM keyword"),
        ("{attribute: '00080060', exists: true}", "rules[0].when.attribute", '"gggg,eeee"'),
        ("{attribute: '0002,0010', exists: true}", "rules[0].when.attribute", "does not belong"),
        ("{attribute: '0019,0010', private_creator: X, exists: true}", "rules[0].when.attribute", "private block"),
        ("{attribute: Modality, private_creator: X, exists: true}", "rules[0].when.attribute", "no private_creator"),
        ("{attribute: Modality.Rows, exists: true}", "rules[0].when.attribute", "not a sequence"),
        ("{attribute: Modality}", "rules[0].when", "this one has none"),
        ("{attribute: Modality, equals: CT, exists: true}", "rules[0].when", "has 2 (equals, exists)"),
        ("{attribute: Modality, equals: ''}", "rules[0].when.equals", "exists: false"),
        ("{attribute: Modality, equals: [CT]}", "rules[0].when.equals", "go into `in`"),
        ("{attribute: Modality, equals: null}", "rules[0].when", "this one has none"),
        ("{attribute: Modality, in: []}", "rules[0].when.in", "at least 1"),
        ("{attribute: Modality, in: CT}", "rules[0].when.in", "must be a list"),
        ("{attribute: Modality, contains: 5}", "rules[0].when.contains", "put it in quotes"),
        ("{attribute: Modality, exists: yes}", "rules[0].when.exists", "true or false"),
        ("{attribute: KVP, between: [2]}", "rules[0].when.between[1]", "missing"),
        ("{attribute: KVP, between: [2, 1]}", "rules[0].when.between", "lowest, highest"),
        ("{attribute: KVP, lt: true}", "rules[0].when.lt", "order"),
        ("{fact: instance_count, ge: ten}", "rules[0].when", "is a number"),
        ("{fact: has_localizer, equals: 'yes'}", "rules[0].when", "truth value"),
        ("{fact: instance_count, ge: 3, every: true}", "rules[0].when.every", "not known here"),
        ("{any: []}", "rules[0].when.any", "at least 1"),
        ("{atribute: Modality, equals: CT}", "rules[0].when", "Did you mean attribute"),
        ("{all: [], any: []}", "rules[0].when", "all and any"),
        ("CT", "rules[0].when", "a condition is a mapping"),
        ("{all: {attribute: Modality}}", "rules[0].when.all", "must be a list"),
    ],
)
def test_refused_conditions(condition, path, words):
    found = problems(when(condition))
    assert list(found) == [path]
    assert words in found[path]


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("    when: {all: []}\n", "rules[0].deliver_to", "enhances nothing"),
        ("    enhance: {pipeline: ct-denoise}\n", "rules[0].when", "required"),
        (
            "    when: {all: []}\n    enhance: {pipeline: ct-denoise}\n    deadline_minutes: 0\n",
            "rules[0].deadline_minutes",
            "minutes",
        ),
        (
            "    when: {all: []}\n    enhance: {pipeline: ct-denoise}\n    priorty: stat\n",
            "rules[0].priorty",
            "priority",
        ),
    ],
)
def test_refused_rules(body, path, words):
    found = problems(rule(body))
    assert list(found) == [path]
    assert words in found[path]


def test_a_live_rule_that_delivers_nowhere_or_does_nothing():
    text = DESTINATION + (
        "rules:\n"
        "  - {name: a, state: live, when: {all: []}, enhance: {pipeline: ct-denoise}}\n"
        "  - {name: b, state: live, when: {all: []}}\n"
    )
    found = problems(text)
    assert "deliver somewhere" in found["rules[0].deliver_to"]
    assert "does neither" in found["rules[1]"]
    assert len(read_site(text.replace("live", "draft"), PIPELINES).rules) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1]\nb: *x", "anchors"),
        ("[" * 5000, "nested"),
        ("a: !!python/object/apply:os.system [id]", "tags"),
        ("rules: []\nrules: []", "given twice"),
        ("[1,2", "not YAML"),
        ("\x00", "not YAML"),
        ("", "empty"),
        ("- 1", "mapping"),
        ("destinations: 5", "must be a list"),
        ("rules: [null]", "mapping"),
        ("{1: 2}", "a name must be text"),
        ("? [a]\n: 1", "not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("rules: [" + "1," * 110_000 + "]", "entries"),
        ("# " + "x" * (1 << 20), "larger"),
        ("rules: [{when: " + "{not: " * 50 + "1" + "}" * 50 + "}]", "deep"),
    ],
)
def test_what_is_no_document_is_refused_plainly(text, words):
    with pytest.raises(SiteRefused) as caught:
        read_site(text, PIPELINES)
    assert words in str(caught.value)
    assert "Traceback" not in str(caught.value)


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text_is_read_or_refused(text):
    try:
        outcome: Site | list = read_site(text, PIPELINES)
    except SiteRefused as refused:
        outcome = refused.problems
    assert outcome


def test_condition_bombs_are_refused():
    deep: dict = {"attribute": "Modality", "exists": True}
    for _ in range(50_000):
        deep = {"not": deep}
    wide = {"any": [{"attribute": "Modality", "exists": True}] * 100_000}
    rules = [{"name": "deep", "state": "draft", "when": deep}, {"name": "wide", "state": "draft", "when": wide}]
    with pytest.raises(SiteRefused) as caught:
        check_site({"rules": rules}, PIPELINES)
    assert [problem.message for problem in caught.value.problems] == [
        "conditions are nested at most 16 deep.",
        "a rule has at most 500 conditions.",
    ]


def test_text_that_older_yaml_would_turn_into_something_else_stays_text():
    document, lines = yaml_text.load("[no, on, 00123, 12:30, 2024-01-31, 1_0, 0x1F, .nan, 1e5, 1.5, -3, true, ~]")
    assert document == [
        "no", "on", "00123", "12:30", "2024-01-31", "1_0", "0x1F", ".nan", 100000.0, 1.5, -3, True, None,
    ]  # fmt: skip
    assert lines["[3]"] == 1


def test_parameters_are_completed_with_defaults():
    assert complete_params(Params, {"strength": 1}) == {"strength": 1.0, "texture": 1.0}


# Printable text as an administrator may type it, whatever YAML thinks of it.
TEXT = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20).filter(str.strip)
ODD = st.sampled_from(["no", "~", "1e5", "00123", "2024-01-31", "- x", "#x", "{a", "true", "", "'", '"', "a: b", "é"])
VALUES = st.one_of(TEXT, ODD.filter(str.strip), st.integers(-(10**15), 10**15), st.booleans(), st.floats(-1e9, 1e9))
ORDERED = st.one_of(st.integers(-99, 99), TEXT)
ATTRIBUTES = st.sampled_from(
    [
        {"attribute": "Modality"},
        {"attribute": "0018,0050", "every": True},
        {"attribute": "0019,100C", "private_creator": "SIEMENS MR HEADER"},
        {"attribute": "RequestAttributesSequence.ScheduledProcedureStepID"},
    ]
)
TESTS = st.one_of(
    *(
        st.builds(lambda subject, value, name=name: {**subject, name: value}, ATTRIBUTES, values)
        for name, values in [
            ("equals", VALUES),
            ("not_equals", VALUES),
            ("in", st.lists(VALUES, min_size=1, max_size=3)),
            ("starts_with", TEXT),
            ("ge", ORDERED),
            ("between", st.lists(st.integers(-9, 9), min_size=2, max_size=2).map(sorted)),
            ("exists", st.booleans()),
        ]
    ),
    st.sampled_from([{"fact": name, "exists": True} for name in COMPUTED_FACTS]),
)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(lambda items: {"all": items}, st.lists(inner, max_size=3)),
        st.builds(lambda items: {"any": items}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda item: {"not": item}, inner),
    ),
    max_leaves=6,
)
NAMES = TEXT.map(str.strip).filter(lambda name: name.isprintable() and ":" not in name)


@st.composite
def documents(draw) -> dict:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold))
    destinations = [
        {"name": name, "kind": "dimse", "ae_title": "PACS", "host": "h", "port": draw(st.integers(1, 65535))}
        for name in names
    ]
    rules = [
        {
            "name": name,
            "state": draw(st.sampled_from(["draft", "shadow", "live"])),
            "when": draw(CONDITIONS),
            "enhance": {"pipeline": "ct-denoise", "params": draw(st.sampled_from([{}, {"strength": 0.25}]))},
            "deliver_to": draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)),
            "priority": draw(st.sampled_from(["stat", "normal", "off-peak"])),
            "deadline_minutes": draw(st.one_of(st.none(), st.integers(1, 60), st.just(0.5))),
            "writer": draw(st.sampled_from([{}, {"series_number_offset": 500, "keep_private": ["GEMS_IDEN_01"]}])),
        }
        for name in names
    ]
    return {"destinations": destinations, "rules": rules}


@given(documents())
@settings(max_examples=100, deadline=None)
def test_yaml_round_trip_is_stable_both_ways(document):
    site = check_site(document, PIPELINES)
    text = dump_site(site)
    again = read_site(text, PIPELINES)
    assert again == site
    assert dump_site(again) == text
    assert Site.model_validate(site.to_document()) == site
