"""The how-to says what the code does."""

import re
from pathlib import Path

from dicomnode.domain.condition import OPERATORS, parse_condition
from dicomnode.domain.facts import COMPUTED_FACTS
from dicomnode.domain.site import Rule
from dicomnode.route import yaml_text
from dicomnode.route.vocabulary import check_attribute

TEXT = (Path(__file__).parents[3] / "docs" / "howto" / "rules.md").read_text(encoding="utf-8")


def test_every_fact_is_listed_with_its_kind_and_meaning():
    for name, fact in COMPUTED_FACTS.items():
        assert f"| `{name}` | {fact.kind} | {fact.description} |" in TEXT


def test_every_operator_and_field_is_explained():
    for name in (*OPERATORS, *set(Rule.model_fields) - {"name"}):
        assert re.search(rf"`{name}[:`]", TEXT), name


def test_the_conditions_shown_are_valid():
    shown = re.findall(r"\{attribute: [^{}]*\}", TEXT)
    assert len(shown) >= 6
    for document in shown:
        condition = parse_condition(yaml_text.load(document)[0])
        check_attribute(condition.attribute, condition.private_creator)
