"""What a rule saw of a series, for who does not see patients: the same words without the values that tell of one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from dicomnode.desk.patients import HIDDEN, sees
from dicomnode.desk.person import Person
from dicomnode.domain.condition import AllOf, AnyOf, Condition, FactCondition, Not
from dicomnode.route.asked import asked
from dicomnode.route.evaluate import Explanation, Seen
from dicomnode.route.rules import RuleExplanation

NO_MATCH = "does not match: "
"""How `flow.completing.deciding` and replays begin an outcome that goes on with the values of the series."""

_GROUPS = frozenset({0x0010, 0x0012, 0x0032, 0x0038, 0x0040})
"""Patient, clinical trial, requests, visits, procedures."""
_TAGS = frozenset(
    filter(None, map(tag_for_keyword, ("AccessionNumber", "StudyID", "FillerOrderNumberImagingServiceRequest")))
)


def tells_of_patient(attribute: str) -> bool:
    """Whether values of it may tell who the patient is: by group, by VR, and whatever nobody knows (private).

    It may be written by keywords or by tags, `0008,0050` as well as `AccessionNumber`.
    """
    return any(_is_personal(step) for step in attribute.split("."))


def _is_personal(step: str) -> bool:
    tag = tag_for_keyword(step) if step else None
    if tag is None and len(step) == 9:
        tag = int(step[:4] + step[5:], 16)
    if tag is None or tag >> 16 & 1 or not dictionary_has_tag(tag):
        return True
    return tag >> 16 in _GROUPS or dictionary_VR(tag) == "PN" or tag in _TAGS


def asks_of_patient(condition: Condition) -> bool:
    """Whether the condition looks at something that may tell who the patient is."""
    match condition:
        case AllOf(all=children) | AnyOf(any=children):
            return any(map(asks_of_patient, children))
        case Not(not_=child):
            return asks_of_patient(child)
        case FactCondition():
            return False
    return tells_of_patient(condition.attribute)


def shown_to(person: Person, answer: RuleExplanation) -> RuleExplanation:
    """The answer as this person may read it, its reason included."""
    return answer if sees(person) else replace(answer, explanation=_masked(answer.explanation))


def shown_outcome(person: Person, outcome: str, condition: Mapping[str, Any] | None = None) -> str:
    """What came of a rule's answer ("does not match: PatientSex equals F: seen M") as this person may read it.

    `condition`: the explanation that it was said from (`Explanation.to_json`). Without one, all behind the first words
    is hidden; so is what was said from something else.
    """
    if sees(person) or not outcome.startswith(NO_MATCH):
        return outcome
    if not condition:
        return f"{NO_MATCH}{HIDDEN}"
    tests = list(_tests(condition))
    telling = [test for test in tests if _tells(str(test["kind"]), str(test["subject"])) and test["seen"]]
    if not telling:
        return outcome
    if not any(str(test["sentence"]) in outcome for test in tests):
        return f"{NO_MATCH}{HIDDEN}"
    for test in sorted(telling, key=lambda test: len(test["sentence"]), reverse=True):  # one may end like another
        expected = test["expected"]
        words = asked(test["operator"], tuple(expected) if isinstance(expected, list) else expected, test["every"])
        outcome = outcome.replace(test["sentence"], _sentence(test["subject"], words))
    return outcome


def _tests(condition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "subject" in condition:
        yield condition
    for child in condition.get("children", ()):
        yield from _tests(child)


def _masked(found: Explanation) -> Explanation:
    if found.children:
        return replace(found, children=tuple(map(_masked, found.children)))
    if not _tells(found.kind, found.subject) or not found.seen:
        return found
    seen = tuple(Seen((HIDDEN,), each.count, each.satisfies) for each in found.seen)
    words = asked(found.operator, found.expected, found.every)  # type: ignore[arg-type]
    return replace(found, sentence=_sentence(found.subject, words), seen=seen)


def _tells(kind: str, subject: str) -> bool:
    """Of a private element the subject has its creator in brackets as well: nobody knows that, so it may tell."""
    return kind == "attribute" and tells_of_patient(subject)


def _sentence(subject: str, words: str) -> str:
    return f"{subject} {words}: seen {HIDDEN}"
