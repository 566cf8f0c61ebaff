"""The words a rule may use for DICOM elements, and the facts' name of each."""

import re
from functools import cache, lru_cache

from pydicom.datadict import (
    dictionary_has_tag,
    dictionary_keyword,
    dictionary_VR,
    keyword_dict,
    tag_for_keyword,
)

from dicomnode.domain.facts import private_name
from dicomnode.domain.problem import nearest, refusal

_NUMBER = re.compile(r"([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})")
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})


def check_attribute(attribute: str, private_creator: str | None) -> None:
    """Raise `problem.refusal(...)` if `attribute` names no element, or one that facts never hold.

    `attribute` is a keyword, `gggg,eeee`, or several of these joined by dots, from the sequence to what lies inside.
    """
    steps = attribute.split(".")
    private = [_check_step(step, inside=number < len(steps) - 1) for number, step in enumerate(steps)]
    if any(private) and not (private_creator or "").strip():
        raise refusal(f"{attribute} is a private element; name its private_creator beside it.")
    if private_creator is not None and not any(private):
        raise refusal(f"{attribute} is not a private element, so it has no private_creator.")


def _check_step(step: str, *, inside: bool) -> bool:
    """True for a private element."""
    match = _NUMBER.fullmatch(step)
    if match is None:
        tag = tag_for_keyword(step)
        if tag is None:
            raise refusal(_unknown(step), nearest(step, _keywords()))
    else:
        group, element = int(match[1], 16), int(match[2], 16)
        if group & 1:
            if element < 0x1000:
                raise refusal(f"{step} reserves a private block; the elements of a block run from gggg,1000 on.")
            return True
        tag = group << 16 | element
    if tag >> 16 in (0x0000, 0x0002, 0xFFFE) or tag >> 24 in (0x50, 0x60) or tag & 0xFFFF == 0:
        raise refusal(f"{step} does not belong to the attributes of an instance that rules read.")
    vr = dictionary_VR(tag) if dictionary_has_tag(tag) else ""
    if _BULK & set(vr.split(" or ")):
        raise refusal(f"{step} is bulk data; rules do not read it.")
    if inside and vr not in ("SQ", ""):
        raise refusal(f"{step} is not a sequence, so nothing lies inside it.")
    return False


def _unknown(step: str) -> str:
    if re.fullmatch(r"\(?[0-9A-Fa-f]{4},? ?[0-9A-Fa-f]{4}\)?", step):
        return f'{step!r}: an element by number is written "gggg,eeee" in hexadecimal, for instance "0018,0050".'
    return f"{step!r} is not a DICOM keyword."


@cache
def _keywords() -> frozenset[str]:
    return frozenset(keyword for keyword, tag in keyword_dict.items() if keyword and _is_readable(tag))


def _is_readable(tag: int) -> bool:
    return tag >> 16 not in (0x0000, 0x0002, 0xFFFE) and not _BULK & set(dictionary_VR(tag).split(" or "))


@lru_cache(maxsize=4096)
def facts_name(attribute: str, private_creator: str | None = None) -> str:
    """The name under which `domain.facts.SeriesFacts` holds what a condition calls `attribute`.

    A number with a keyword becomes the keyword; a private element takes its creator, and block 10 wherever it landed.
    """
    return ".".join(_step_name(step, private_creator or "") for step in attribute.split("."))


def _step_name(step: str, creator: str) -> str:
    match = _NUMBER.fullmatch(step)
    if match is None:
        return step
    group, element = int(match[1], 16), int(match[2], 16)
    if group & 1:
        return private_name(group, element, creator)
    tag = group << 16 | element
    return (dictionary_keyword(tag) if dictionary_has_tag(tag) else "") or f"{group:04X},{element:04X}"
