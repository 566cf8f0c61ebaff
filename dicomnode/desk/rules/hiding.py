"""What a rule saw of a series, for who does not see patients: the same tree without the values that tell of one."""

from dataclasses import replace

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from dicomnode.desk.patients import HIDDEN, sees
from dicomnode.desk.person import Person
from dicomnode.domain.condition import AllOf, AnyOf, Condition, FactCondition, Not
from dicomnode.route.asked import asked_by, subject_of
from dicomnode.route.evaluate import Explanation, Seen
from dicomnode.route.rules import RuleExplanation

_GROUPS = frozenset({0x0010, 0x0012, 0x0032, 0x0038, 0x0040})
"""Patient, clinical trial, requests, visits, procedures."""
_KEYWORDS = frozenset({"AccessionNumber", "StudyID", "FillerOrderNumberImagingServiceRequest"})


def tells_of_patient(attribute: str) -> bool:
    """Whether values of it may tell who the patient is: by group, by VR, and whatever nobody knows (private)."""
    return any(_is_personal(step) for step in attribute.split("."))


def _is_personal(step: str) -> bool:
    tag = tag_for_keyword(step) if step else None
    if tag is None and len(step) == 9:
        tag = int(step[:4] + step[5:], 16)
    if tag is None or tag >> 16 & 1 or not dictionary_has_tag(tag):
        return True
    return tag >> 16 in _GROUPS or dictionary_VR(tag) == "PN" or step in _KEYWORDS


def shown_to(person: Person, answer: RuleExplanation) -> RuleExplanation:
    """The answer as this person may read it, its reason included."""
    if sees(person):
        return answer
    return replace(answer, explanation=_masked(answer.rule.when, answer.explanation))


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


def _masked(condition: Condition, found: Explanation) -> Explanation:
    match condition:
        case AllOf(all=children) | AnyOf(any=children):
            pairs = zip(children, found.children, strict=True)
            return replace(found, children=tuple(_masked(child, below) for child, below in pairs))
        case Not(not_=child):
            return replace(found, children=(_masked(child, found.children[0]),))
        case FactCondition():
            return found
    if not tells_of_patient(condition.attribute) or not found.seen:
        return found
    seen = tuple(Seen((HIDDEN,), each.count, each.satisfies) for each in found.seen)
    return replace(found, sentence=f"{subject_of(condition)} {asked_by(condition)}: seen {HIDDEN}", seen=seen)
