"""What a condition is about: which kind of value it has, and which operators make sense for it."""

import re
from collections.abc import Mapping
from typing import Literal

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from dicomnode.domain.condition import OPERATORS
from dicomnode.domain.facts import COMPUTED_FACTS
from dicomnode.route.asked import OPERATOR_WORDS

Kind = Literal["number", "text", "date", "truth value", "any"]
"""`any`: nobody knows beforehand, as for a private element."""

ABSENT = "absent"
"""The form's word for `exists: false`."""

WORDS: Mapping[str, str] = {
    **{str(name): words for name, words in OPERATOR_WORDS.items()},
    "exists": "exists",
    ABSENT: "is absent",
}

_ORDERED = ("lt", "le", "gt", "ge", "between")
TEXTUAL = ("contains", "starts_with", "ends_with")
"""These compare texts, whatever the value is."""
_FITTING: Mapping[Kind, tuple[str, ...]] = {
    "number": ("equals", "not_equals", "in", *_ORDERED, "exists", ABSENT),
    "text": ("equals", "not_equals", "in", *TEXTUAL, "exists", ABSENT),
    "date": ("equals", "not_equals", "in", *_ORDERED, *TEXTUAL, "exists", ABSENT),
    "truth value": ("equals", "not_equals", "exists", ABSENT),
    "any": (*OPERATORS, ABSENT),
}

_NUMERIC = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "SQ"})
"""Of a sequence the facts hold the number of its items."""
_DATES = frozenset({"AS", "DA", "DT", "TM"})


def is_fact(subject: str) -> bool:
    """Whether it is a computed fact rather than an attribute: their names never meet."""
    return subject in COMPUTED_FACTS


def is_private(subject: str) -> bool:
    """Whether a step of it is an element of an odd group, which needs its private creator."""
    return any(re.fullmatch(r"[0-9A-Fa-f]{3}[13579BDFbdf],[0-9A-Fa-f]{4}", step) for step in subject.split("."))


def kind_of(subject: str) -> Kind:
    """By the fact's definition or the dictionary's VR."""
    if subject in COMPUTED_FACTS:
        return COMPUTED_FACTS[subject].kind
    vr = _vr(subject.rsplit(".", 1)[-1])
    if not vr:
        return "any"
    parts = set(vr.split(" or "))
    return "number" if parts <= _NUMERIC else "date" if parts <= _DATES else "text"


def fitting(subject: str, chosen: str = "") -> list[tuple[str, str]]:
    """(operator, its words) to choose from; the one that is chosen is always among them."""
    names = _FITTING[kind_of(subject)]
    return [(name, words) for name, words in WORDS.items() if name in names or name == chosen]


def _vr(step: str) -> str:
    match = re.fullmatch(r"([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})", step)
    tag = int(match[1] + match[2], 16) if match else tag_for_keyword(step) if step else None
    return dictionary_VR(tag) if tag is not None and dictionary_has_tag(tag) else ""
