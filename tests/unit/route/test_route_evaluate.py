"""Conditions on facts: the semantics, held against a naive model, and what the explanation says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.condition import AttributeCondition, Condition, FactCondition, parse_condition
from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.route.compare import satisfies
from dicomnode.route.evaluate import SHOWN, evaluate

NAMES = ("Modality", "ImageType", "SliceThickness", "EchoNumbers")
WORDS = ("CT", "mr", "AXIAL", "Secondary")
SCALARS = st.one_of(st.sampled_from(WORDS), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.5]))


def facts_of(**attributes: object) -> SeriesFacts:
    """Shorthand: {element value: count}, a single component standing for itself."""
    built = {}
    for name, values in attributes.items():
        pairs = {value if isinstance(value, tuple) else (value,): count for value, count in dict(values).items()}
        built[name] = AttributeFacts("CS", pairs)
    return SeriesFacts(built, {"instance_count": 20, "spacing_uniform": True, "modalities": "CT\\PR"})


def result(document: dict, facts: SeriesFacts) -> bool:
    return evaluate(parse_condition(document), facts).result


@st.composite
def leaf_documents(draw) -> dict:
    subject = {"attribute": draw(st.sampled_from(NAMES))}
    operator = draw(st.sampled_from(["equals", "not_equals", "in", "contains", "lt", "ge", "between", "exists"]))
    expected = {
        "in": st.lists(SCALARS, min_size=1, max_size=3),
        "contains": st.sampled_from(["c", "A", "xi"]),
        "between": st.tuples(st.integers(-3, 0), st.integers(0, 3)).map(list),
        "exists": st.booleans(),
    }.get(operator, SCALARS)
    every = {"every": True} if draw(st.booleans()) else {}
    return {**subject, operator: draw(expected), **every}


DOCUMENTS = st.recursive(
    leaf_documents(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: {"all": items}),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: {"any": items}),
        inner.map(lambda item: {"not": item}),
    ),
    max_leaves=8,
)
INSTANCES = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.lists(SCALARS, min_size=1, max_size=2).map(tuple)),
    min_size=1,
    max_size=4,
)


def gather(instances: list[dict]) -> SeriesFacts:
    attributes = {}
    for name in {name for instance in instances for name in instance}:
        values: dict = {}
        for instance in instances:
            if name in instance:
                values[instance[name]] = values.get(instance[name], 0) + 1
        attributes[name] = AttributeFacts("", values, sum(name not in instance for instance in instances))
    return SeriesFacts(attributes, {})


def naive(document: dict, instances: list[dict]) -> bool:
    """What the how-to says, read off the instances one by one."""
    if "all" in document:
        return all(naive(each, instances) for each in document["all"])
    if "any" in document:
        return any(naive(each, instances) for each in document["any"])
    if "not" in document:
        return not naive(document["not"], instances)
    held = [instance.get(document["attribute"]) for instance in instances]
    every = document.get("every", False)
    if "exists" in document:
        has = all(value is not None for value in held) if every and document["exists"] else any(held)
        return has is document["exists"]
    operator, expected = next((key, value) for key, value in document.items() if key not in ("attribute", "every"))
    expected = tuple(expected) if isinstance(expected, list) else expected
    fits = [value is not None and satisfies(value, operator, expected) for value in held]
    return all(fits) if every else any(fits)


@given(DOCUMENTS, INSTANCES)
def test_evaluate_agrees_with_the_naive_model(document, instances):
    explanation = evaluate(parse_condition(document), gather(instances))
    assert explanation.result is naive(document, instances)


@given(DOCUMENTS, DOCUMENTS, INSTANCES)
def test_laws_of_not_all_and_any(a, b, instances):
    facts = gather(instances)
    assert result({"not": a}, facts) is not result(a, facts)
    assert result({"not": {"not": a}}, facts) is result(a, facts)
    assert result({"not": {"all": [a, b]}}, facts) is result({"any": [{"not": a}, {"not": b}]}, facts)
    assert result({"not": {"any": [a, b]}}, facts) is result({"all": [{"not": a}, {"not": b}]}, facts)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"equals": "CT"}, False),
        ({"not_equals": "CT"}, False),
        ({"ge": 0}, False),
        ({"exists": True}, False),
        ({"exists": False}, True),
        ({"equals": "CT", "every": True}, False),
    ],
)
def test_absent_attribute(document, expected):
    condition = {"attribute": "BodyPartExamined", **document}
    assert result(condition, facts_of()) is expected
    assert result({"not": condition}, facts_of()) is not expected


def test_every_demands_all_values_on_all_instances():
    thin = {"attribute": "SliceThickness", "le": 1.5}
    mixed = facts_of(SliceThickness={1.0: 19, 5.0: 1})
    assert result(thin, mixed)
    assert not result({**thin, "every": True}, mixed)
    uniform = facts_of(SliceThickness={1.0: 20})
    assert result({**thin, "every": True}, uniform)
    one_lacks_it = SeriesFacts({"SliceThickness": AttributeFacts("DS", {(1.0,): 19}, absent=1)}, {})
    assert not result({**thin, "every": True}, one_lacks_it)
    assert result({"attribute": "SliceThickness", "exists": True}, one_lacks_it)
    assert not result({"attribute": "SliceThickness", "exists": True, "every": True}, one_lacks_it)
    assert not result({"attribute": "SliceThickness", "exists": False}, one_lacks_it)


def test_computed_facts_numbers_truth_values_and_lists():
    facts = facts_of()
    assert result({"fact": "instance_count", "between": [20, 30]}, facts)
    assert result({"fact": "spacing_uniform", "equals": True}, facts)
    assert result({"fact": "modalities", "equals": "pr"}, facts)
    assert not result({"fact": "orientation", "equals": "axial"}, facts)
    assert result({"fact": "orientation", "exists": False}, facts)


@pytest.mark.parametrize("attribute", ["0019,100C", "0019,110c", "0019,FF0C"])
def test_private_element_matches_wherever_its_block_landed(attribute):
    facts = SeriesFacts({"0019,100C|SIEMENS MR HEADER": AttributeFacts("IS", {(1000,): 4})}, {})
    condition = {"attribute": attribute, "private_creator": "SIEMENS MR HEADER", "equals": 1000}
    assert result(condition, facts)
    assert not result({**condition, "private_creator": "OTHER"}, facts)


def test_attribute_by_number_and_inside_a_sequence():
    facts = facts_of(Modality={"CT": 1})
    assert result({"attribute": "0008,0060", "equals": "CT"}, facts)
    inside = SeriesFacts({"RequestAttributesSequence.ScheduledProcedureStepID": AttributeFacts("SH", {("S1",): 1})}, {})
    assert result({"attribute": "RequestAttributesSequence.0040,0009", "equals": "s1"}, inside)


def test_explanation_shows_values_operator_and_result():
    facts = facts_of(SliceThickness={1.0: 19, 5.0: 1}, Modality={"CT": 20})
    explanation = evaluate(
        parse_condition({"all": [{"attribute": "Modality", "equals": "MR"}, {"attribute": "SliceThickness", "gt": 2}]}),
        facts,
    )
    modality, thickness = explanation.tests()
    assert modality.sentence == "Modality equals MR: seen CT (20)"
    assert not modality.result
    assert thickness.sentence == "SliceThickness is greater than 2: seen 5.0, 1.0 (19)"
    assert [(seen.value, seen.count, seen.satisfies) for seen in thickness.seen] == [
        ((5.0,), 1, True),
        ((1.0,), 19, False),
    ]
    assert json.loads(json.dumps(explanation.to_json())) == explanation.to_json()
    assert explanation.to_json()["children"][0]["expected"] == "MR"


def test_explanation_is_bounded_and_what_decided_comes_first():
    facts = facts_of(SOPInstanceUID={f"1.2.{number}": 1 for number in range(10_000)})
    explanation = evaluate(parse_condition({"attribute": "SOPInstanceUID", "equals": "1.2.9999"}), facts)
    assert explanation.result
    assert len(explanation.seen) == SHOWN
    assert explanation.seen[0].value == ("1.2.9999",)
    assert explanation.distinct == 10_000
    assert explanation.sentence.endswith("and 9992 more")


def test_conditions_know_their_kind():
    attribute: Condition = parse_condition({"attribute": "Modality", "in": ["CT"]})
    assert isinstance(attribute, AttributeCondition)
    assert (attribute.operator, attribute.expected) == ("in", ("CT",))
    assert isinstance(parse_condition({"fact": "instance_count", "lt": 3}), FactCondition)


def test_what_was_too_large_to_be_kept_is_there_but_says_nothing() -> None:
    facts = SeriesFacts({"ImageComments": AttributeFacts("LT", {}, absent=1, left_out=True)}, {"instance_count": 3})
    contains = {"attribute": "ImageComments", "contains": "a"}
    explanation = evaluate(parse_condition(contains), facts)
    assert (explanation.result, explanation.sentence.rpartition(": ")[2]) == (False, "too large to be kept")
    assert result({"attribute": "ImageComments", "exists": True}, facts)
    assert not result({"attribute": "ImageComments", "exists": True, "every": True}, facts)
    assert not result({"attribute": "ImageComments", "exists": False}, facts)
