"""One value of a condition as the text of a field, and back.

How a text is read is a field of its own, `As`, since `5` and `"5"` are not the same to a rule. `auto` follows what the
subject holds, and is right nearly always; `exact` is JSON and can say everything.
"""

import json
import re
from collections.abc import Sequence
from typing import Literal, get_args

from dicomnode.domain.facts import Scalar
from dicomnode.web.pages.rules.form.subjects import Kind

As = Literal["auto", "text", "number", "truth value", "exact"]
WAYS: tuple[As, ...] = get_args(As)

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d{1,3})?", re.ASCII)
"""No leading zeros: an identifier such as 007 stays a text where nobody says what it is."""
_MOST_DIGITS = 64


class Unreadable(ValueError):
    """The text is not of the kind that it should be; the message says so."""


def read(text: str, way: As, kind: Kind) -> Scalar:
    """The value of a text. Raises Unreadable."""
    if way == "exact":
        return _exact(text)
    if way == "text" or (way == "auto" and kind in ("text", "date")):
        return text
    if way == "truth value" or (way == "auto" and kind == "truth value"):
        if text.strip() not in ("true", "false"):
            raise Unreadable("choose true or false.")
        return text.strip() == "true"
    if way == "auto" and kind == "any" and not _PLAIN_NUMBER.fullmatch(text):
        return text
    return number(text)


def number(text: str) -> int | float:
    """A number as people write it; a whole one stays whole. Raises Unreadable."""
    text = text.strip()
    if not _NUMBER.fullmatch(text) or len(text) > _MOST_DIGITS:
        raise Unreadable(f"{text[:40]!r} is not a number: write it as 2 or 2.5.")
    return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)


def write(values: Sequence[Scalar], kind: Kind) -> tuple[As, tuple[str, ...]]:
    """How to read them, and a text for each: the first way in which nothing is lost."""
    texts = tuple(map(_text, values))
    for way in WAYS[:-1]:
        if all(_kept(text, value, way, kind) for text, value in zip(texts, values, strict=True)):
            return way, texts
    return "exact", tuple(json.dumps(value) for value in values)


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kept(text: str, value: Scalar, way: As, kind: Kind) -> bool:
    """A field of a form carries printable text in one line, and nothing else for certain."""
    try:
        again = read(text, way, kind)
    except Unreadable:
        return False
    return text.isprintable() and type(again) is type(value) and again == value


def _exact(text: str) -> Scalar:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, str | int | float):
        raise Unreadable('write it as JSON: "text" in double quotes, 5, or true.')
    return value
