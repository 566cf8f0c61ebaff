"""Rules about what is really there: conditions on the elements of real files, in every operator."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from dicomnode.complete.facts import instance_facts
from dicomnode.domain.facts import Scalar
from dicomnode.route.vocabulary import check_attribute

FILES = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "nested_priv_SQ.dcm", "UN_sequence.dcm", "liver_1frame.dcm")
PIPELINES = ("passthrough", "ct-denoise")

Document = dict[str, Any]


def real_file(name: str) -> Dataset:
    """One of pydicom's own files, read anew, with all that the store wants of an instance."""
    dataset = dcmread(str(get_testdata_file(name, download=False)))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        dataset.setdefault(keyword, "2.25.7")
    dataset.setdefault("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7")
    return dataset


@cache
def subjects() -> Sequence[tuple[Document, tuple[Scalar, ...]]]:
    """What a test of a rule may be about, private elements and ones in sequences too, with values that files have."""
    found: dict[str, tuple[Document, tuple[Scalar, ...]]] = {}
    for name in FILES:
        for path, facts in instance_facts(real_file(name)).attributes.items():
            attribute, _, creator = path.partition("|")
            subject = {"attribute": attribute, **({"private_creator": creator} if creator else {})}
            values = tuple(part for value in facts.values for part in value if str(part).strip())
            if values and _is_readable(subject):
                found.setdefault(path, (subject, values[:4]))
    return list(found.values())


def _is_readable(subject: Document) -> bool:
    try:
        check_attribute(subject["attribute"], subject.get("private_creator"))
    except ValueError:
        return False
    return "." not in subject.get("private_creator", "")


@st.composite
def attribute_tests(draw: st.DrawFn) -> Document:
    """A test on an element, mostly one that some series fulfil."""
    subject, values = draw(st.sampled_from(subjects()))
    value = draw(st.sampled_from(values))
    document: Document = {**subject, **draw(st.sampled_from(_tests_with(value)))}
    return {**document, "every": True} if draw(st.booleans()) else document


def _tests_with(value: Scalar) -> list[Document]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(value).strip()[:40]
    ordered = [{name: value} for name in ("lt", "le", "gt", "ge")] if number else []
    texts = [{"contains": text[1:4].strip() or text}, {"starts_with": text[:2].strip() or text}, {"ends_with": text}]
    return [{"equals": value if number else text}, {"not_equals": value if number else text}, {"exists": True},
            {"exists": False}, {"in": [text, "other"]}, *texts, *ordered]  # fmt: skip


FACT_TESTS = st.sampled_from(
    [
        {"fact": "instance_count", "ge": 3},
        {"fact": "instance_count", "lt": 3},
        {"fact": "has_localizer", "equals": False},
        {"fact": "calling_aet", "equals": "CT1"},
        {"fact": "spacing_between_slices", "exists": False},
        {"fact": "transfer_syntaxes", "contains": "1.2.840.10008.1.2.1"},
    ]
)
CONDITIONS = st.recursive(
    attribute_tests() | FACT_TESTS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: {"all": each}),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"any": each}),
        inner.map(lambda each: {"not": each}),
    ),
    max_leaves=5,
)


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Document]:
    """Some rules of every state; the first takes all series, so that the circumstances of each matter."""
    conditions = [{"all": []}, *draw(st.lists(CONDITIONS, min_size=1, max_size=5))]
    return [
        {
            "name": f"rule {number}",
            "state": "live" if number == 0 else draw(st.sampled_from(["live", "shadow", "draft"])),
            "when": when,
            "enhance": {"pipeline": draw(st.sampled_from(PIPELINES))},
            "deliver_to": ["pacs"],
        }
        for number, when in enumerate(conditions)
    ]
