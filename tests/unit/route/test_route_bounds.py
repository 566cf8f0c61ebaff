"""What the facts of a series say of its instances, against each instance asked by itself."""

from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rulesets import FILES, attribute_tests, real_file

from dicomnode.complete.facts import combine, instance_facts
from dicomnode.domain.condition import parse_condition
from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.route.bounds import Instances
from dicomnode.route.evaluate import evaluate

RECEIPT_TESTS = st.sampled_from(
    [
        {"fact": "calling_aet", "equals": "CT1"},
        {"fact": "calling_aet", "not_equals": "CT2"},
        {"fact": "calling_aet", "exists": False},
        {"fact": "transfer_syntaxes", "in": ["1.2.840.10008.1.2.1", "1.2"]},
    ]
)
CONDITIONS = st.recursive(
    attribute_tests() | RECEIPT_TESTS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: {"all": each}),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"any": each}),
        inner.map(lambda each: {"not": each}),
    ),
    max_leaves=5,
)
INSTANCES = st.lists(st.tuples(st.sampled_from(FILES), st.sampled_from(["CT1", "CT2", "MR1"])), min_size=1, max_size=6)


@cache
def instance(name: str, sender: str) -> SeriesFacts:
    dataset = real_file(name)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return instance_facts(dataset, calling_aet=sender, called_aet="NODE", transfer_syntax=syntax)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(when=CONDITIONS, instances=INSTANCES)
def test_the_instances_that_fulfil_a_condition_lie_within_the_bounds(
    when: Any, instances: list[tuple[str, str]]
) -> None:
    condition = parse_condition(when)
    each = [instance(*one) for one in instances]
    bounds = Instances(combine(each)).fulfil(condition)
    fulfilling = sum(evaluate(condition, facts).result for facts in each)
    assert bounds.low <= fulfilling <= bounds.high
    if len(set(instances)) == 1:
        assert bounds.exact, "instances that are all alike leave nothing open"


def test_a_single_test_of_an_element_is_always_exact() -> None:
    facts = combine([instance("CT_small.dcm", "CT1"), instance("MR_small.dcm", "CT1"), instance("MR_small.dcm", "CT2")])
    found = Instances(facts).fulfil(parse_condition({"attribute": "Modality", "equals": "MR"}))
    assert (found.low, found.high, found.exact) == (2, 2, True)


def test_what_only_a_series_knows_is_open() -> None:
    found = Instances(instance("CT_small.dcm", "CT1")).fulfil(parse_condition({"fact": "image_count", "ge": 1}))
    assert (found.low, found.high, found.exact) == (0, 1, False)


def test_what_was_too_large_to_be_kept_may_have_fulfilled_a_test_on_arrival() -> None:
    facts = SeriesFacts({"ImageComments": AttributeFacts("LT", {}, absent=1, left_out=True)}, {"instance_count": 3})
    found = Instances(facts).fulfil(parse_condition({"attribute": "ImageComments", "contains": "a"}))
    assert (found.low, found.high) == (0, 2)
    there = Instances(facts).fulfil(parse_condition({"attribute": "ImageComments", "exists": True}))
    assert (there.low, there.high) == (2, 2)
