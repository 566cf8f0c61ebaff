"""Facts read from their stored text, attribute by attribute, are the facts that were stored."""

import json

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.domain.stored_facts import read_facts

NASTY = [
    'a "Modality',
    "Modality",
    'x, "Modality',
    "{",
    '{"vr": ',
    "0019,100C|ÄÖ\x7f\t",
    "computed",
    "attributes",
    "日本",
]
NAMES = st.sampled_from(NASTY) | st.text(min_size=1, max_size=8)
SCALARS = st.text(max_size=8) | st.sampled_from(NASTY) | st.integers(-5, 5) | st.floats(allow_nan=False) | st.booleans()
VALUES = st.dictionaries(st.tuples(SCALARS), st.integers(1, 9), max_size=3)
ATTRIBUTES = st.builds(
    AttributeFacts,
    vr=st.sampled_from(["CS", "DS", ""]),
    values=VALUES,
    absent=st.integers(0, 3),
    left_out=st.booleans(),
)
FACTS = st.builds(
    SeriesFacts,
    attributes=st.dictionaries(NAMES, ATTRIBUTES, max_size=6),
    computed=st.dictionaries(NAMES, SCALARS | st.none(), max_size=4),
)


def as_jsonb(facts: SeriesFacts) -> str:
    """As PostgreSQL gives jsonb back: shorter keys first, letters as they are."""
    document = facts.to_json()
    sorted_ones = {key: document[key] for key in ("computed", "attributes")}
    return json.dumps(sorted_ones, ensure_ascii=False)


@given(facts=FACTS, name=NAMES)
def test_it_is_what_reading_all_of_it_gives(facts: SeriesFacts, name: str) -> None:
    whole = SeriesFacts.from_json(json.loads(json.dumps(facts.to_json())))
    for text in (json.dumps(facts.to_json()), as_jsonb(facts)):
        read = read_facts(text)
        assert dict(read.computed) == whole.computed
        for each in {*whole.attributes, name, *NASTY}:
            assert read.attributes.get(each) == whole.attributes.get(each)
            assert (each in read.attributes) is (each in whole.attributes)
        assert dict(read.attributes) == whole.attributes
        assert len(read.attributes) == len(whole.attributes)


def test_another_layout_is_read_as_a_whole() -> None:
    text = '{"attributes":{"Rows":{"vr":"US","absent":1,"values":[{"value":[3],"count":2}]}},"computed":{"x":1}}'
    facts = read_facts(text)
    assert facts.attributes == {"Rows": AttributeFacts("US", {(3,): 2}, 1)}
    assert facts.computed == {"x": 1}
