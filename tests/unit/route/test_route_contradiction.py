"""Conditions that can never match: what is told of is one, and the ones that people write by mistake are told."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.domain.condition import parse_condition
from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.route.contradiction import contradiction
from dicomnode.route.evaluate import evaluate

IS_CT = {"attribute": "Modality", "equals": "CT"}
COUNT = "instance_count"


def text(attribute: str, every: bool = False, **test: Any) -> dict[str, Any]:
    return {"attribute": attribute, **test, **({"every": True} if every else {})}


def fact(name: str, **test: Any) -> dict[str, Any]:
    return {"fact": name, **test}


NEVER = [
    [IS_CT, {"not": IS_CT}],
    [IS_CT, text("Modality", exists=False)],
    [IS_CT, {"not": text("0008,0060", exists=True)}],  # the same element by its number
    [text("Modality", equals="ct "), {"not": text("Modality", **{"in": ["MR", "CT"]})}],
    [text("Modality", **{"in": ["CT", "MR"]}), {"not": IS_CT}, {"not": text("Modality", equals="MR")}],
    [text("SliceThickness", le=1), {"not": text("SliceThickness", le=2)}],
    [text("SliceThickness", between=[1, 2]), {"not": text("SliceThickness", gt=0)}],
    [text("SliceThickness", equals=1.5), {"not": text("SliceThickness", lt=2)}],
    [text("SliceThickness", True, lt=1), {"not": text("SliceThickness", True, le=1)}],
    [text("SeriesDescription", equals="low dose chest"), {"not": text("SeriesDescription", contains="Low Dose")}],
    [text("SeriesDescription", starts_with="low dose"), {"not": text("SeriesDescription", starts_with="low")}],
    [text("SeriesDescription", ends_with="B30f"), {"not": text("SeriesDescription", contains="30F")}],
    [fact(COUNT, ge=10), fact(COUNT, lt=5)],
    [fact(COUNT, gt=5), fact(COUNT, between=[1, 5])],
    [fact(COUNT, gt=5), fact(COUNT, lt=6)],  # instances are counted in whole numbers
    [fact(COUNT, between=[5, 6]), fact(COUNT, not_equals=5), fact(COUNT, not_equals=6)],
    [fact(COUNT, ge=6), {"not": fact(COUNT, ge=5)}],
    [fact(COUNT, lt=1)],
    [fact(COUNT, exists=False)],
    [fact("spacing_between_slices", lt=0)],
    [fact("has_localizer", equals=True), fact("has_localizer", equals=False)],
    [{"not": fact("has_localizer", equals=True)}, {"not": fact("has_localizer", equals=False)}],
    [fact("orientation", equals="axial"), fact("orientation", equals="coronal")],
    [fact("orientation", equals="transversal")],  # no word of the list
    [fact("modalities", equals="CT"), {"not": fact("modalities", contains="c")}],
    [fact(COUNT, ge=9), {"any": [fact(COUNT, lt=5), fact(COUNT, lt=4)]}],
    [{"any": [fact(COUNT, lt=5), fact(COUNT, lt=4)]}, {"any": [fact(COUNT, gt=7), fact(COUNT, gt=8)]}],
    [{"any": [IS_CT]}, {"any": [{"not": IS_CT}]}],
    [{"not": {"any": [IS_CT, {"not": IS_CT}]}}],
    [{"not": {"all": []}}],
]
MAYBE = [
    [],
    [IS_CT, text("Modality", equals="MR")],  # a series may have both
    [text("ImageType", True, equals="AXIAL"), text("ImageType", equals="LOCALIZER")],  # one value may have both
    [text("SliceThickness", le=2), {"not": text("SliceThickness", le=1)}],
    [text("SliceThickness", le=1), {"not": text("SliceThickness", True, le=2)}],  # others are thicker
    [text("SliceThickness", equals="1.0"), {"not": text("SliceThickness", contains=".")}],  # 1 is 1.0
    [text("StudyDate", equals="2024-01-31"), {"not": text("StudyDate", contains="-")}],  # kept without
    [text("SeriesDescription", ends_with="low dose"), {"not": text("SeriesDescription", starts_with="low")}],
    [text("Modality", True, exists=True), text("Modality", exists=True)],
    [fact(COUNT, ge=5), fact(COUNT, le=5)],
    [fact("spacing_between_slices", gt=5), fact("spacing_between_slices", lt=6)],
    [{"not": fact("spacing_uniform", equals=True)}, {"not": fact("spacing_uniform", equals=False)}],  # not known
    [fact(COUNT, ge=9), {"any": [fact(COUNT, lt=5), IS_CT]}],
]


@pytest.mark.parametrize("tests", NEVER)
def test_what_can_never_match_is_told(tests: list[Any]) -> None:
    assert contradiction(parse_condition({"all": tests}))


@pytest.mark.parametrize("tests", MAYBE)
def test_what_may_match_is_not_told(tests: list[Any]) -> None:
    assert contradiction(parse_condition({"all": tests})) == ""


def test_the_tests_that_exclude_each_other_are_named_and_no_others() -> None:
    tests = [fact(COUNT, ge=3), IS_CT, fact(COUNT, not_equals=7), {"not": fact(COUNT, ge=2)}]
    why = contradiction(parse_condition({"all": tests}))
    assert why == "instance_count is at least 3, and not (instance_count is at least 2)"
    assert contradiction(parse_condition(fact("orientation", equals="axal"))) == "orientation equals axal"


def test_a_thicket_of_alternatives_is_given_up_in_time() -> None:
    pairs = [{"any": [text("Modality", equals=f"A{number}"), text("BodyPartExamined", equals=f"B{number}")]}
             for number in range(60)]  # fmt: skip
    assert contradiction(parse_condition({"all": [*pairs, {"any": [IS_CT, {"not": IS_CT}]}]})) == ""


VALUES = ("CT", "ct head", "1", "1.0", "2024-01-31", "20240131", 1, 1.5, 2)
OPERANDS = {
    **dict.fromkeys(("equals", "not_equals"), st.sampled_from(VALUES)),
    **dict.fromkeys(
        ("contains", "starts_with", "ends_with"), st.sampled_from(["c", "CT", "1", "-", "2024-01-31", "."])
    ),
    **dict.fromkeys(("lt", "le", "gt", "ge"), st.sampled_from(VALUES)),
    "in": st.lists(st.sampled_from(VALUES), min_size=1, max_size=3),
    "between": st.sampled_from([[1, 1.5], [1.5, 2], [0, 9], ["1", "2"]]),
    "exists": st.booleans(),
}


@st.composite
def attribute_test(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from(sorted(OPERANDS)))
    return text(
        draw(st.sampled_from(["Modality", "StudyDate"])), draw(st.booleans()), **{operator: draw(OPERANDS[operator])}
    )


COUNTS = st.builds(
    lambda operator, number: fact(COUNT, **{operator: number}),
    st.sampled_from(["lt", "le", "gt", "ge", "equals", "not_equals"]),
    st.sampled_from([0, 1, 1.5, 2, 3]),
)
PLANES = st.sampled_from([fact("orientation", equals="axial"), fact("orientation", starts_with="co"),
                          fact("orientation", exists=False)])  # fmt: skip
CONDITIONS = st.recursive(
    attribute_test() | COUNTS | PLANES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda each: {"all": each}),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"any": each}),
        inner.map(lambda each: {"not": each}),
    ),
    max_leaves=6,
)


def _any_series(random: Random) -> SeriesFacts:
    attributes = {}
    for name, vr in (("Modality", "CS"), ("StudyDate", "DA")):
        values = {tuple(random.choices(VALUES, k=random.choice((1, 1, 2)))) for _ in range(random.choice((0, 1, 2)))}
        if values:
            attributes[name] = AttributeFacts(vr, dict.fromkeys(values, 1), random.choice((0, 0, 1)))
    computed = {COUNT: random.randint(1, 4), "orientation": random.choice((None, "axial", "coronal"))}
    return SeriesFacts(attributes, computed)


PAST = [_any_series(Random(number)) for number in range(60)]
"""Series with any of the values that the tests ask for."""


@settings(deadline=None, max_examples=100)
@given(tests=st.lists(CONDITIONS, min_size=1, max_size=5))
def test_what_is_told_never_to_match_matches_no_series(tests: list[Any]) -> None:
    when = parse_condition({"all": tests})
    assert not (contradiction(when) and any(evaluate(when, facts).result for facts in PAST))
