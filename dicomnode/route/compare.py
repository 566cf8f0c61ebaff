"""What each operator means for one value of an element. Text without regard to case or padding."""

import re
from collections.abc import Callable

from dicomnode.domain.condition import Expected, Operator
from dicomnode.domain.facts import Scalar

Value = tuple[Scalar, ...]
Test = Callable[[Scalar, Scalar], bool]


def satisfies(value: Value, operator: Operator, expected: Expected, vr: str = "") -> bool:
    """Whether one element value does: at least one of its components must.

    `not_equals` is the exception: it holds if no component equals the expected one, so that
    `ImageType not_equals SECONDARY` is false for `DERIVED\\SECONDARY`. `exists` is not of values; see `evaluate`.
    """
    if operator == "not_equals":
        return not satisfies(value, "equals", expected, vr)
    wanted = expected if isinstance(expected, tuple) else (expected,)
    if vr == "DA":
        value, wanted = tuple(map(_date, value)), tuple(map(_date, wanted))
    if operator == "between":
        low, high = wanted
        return any(_at_least(part, low) and _at_least(high, part) for part in value)
    test = _TESTS[operator]
    return any(test(part, each) for part in value for each in wanted)


def _date(value: Scalar) -> Scalar:
    """2024-01-31 and the old 2024.01.31 as 20240131, the form of PS3.5 6.2."""
    return re.sub(r"^(\d{4})[-.](\d\d)[-.](\d\d)$", r"\1\2\3", value.strip()) if isinstance(value, str) else value


def _equal(seen: Scalar, expected: Scalar) -> bool:
    if isinstance(seen, bool) or isinstance(expected, bool):
        return seen is expected
    numbers = _numbers(seen, expected)
    return numbers[0] == numbers[1] if numbers else _text(seen) == _text(expected)


def _below(seen: Scalar, expected: Scalar) -> bool:
    """Numbers by size where both are numbers, texts in text order; a number and a word have no order."""
    numbers = _numbers(seen, expected)
    if numbers:
        return numbers[0] < numbers[1]
    return isinstance(seen, str) and isinstance(expected, str) and _text(seen) < _text(expected)


def _at_least(seen: Scalar, expected: Scalar) -> bool:
    return _below(expected, seen) or _equal(seen, expected)


def _numbers(seen: Scalar, expected: Scalar) -> tuple[float, float] | None:
    """Both as numbers if at least one is written as a number and the other reads as one. `"007"` is not `"7"`."""
    if isinstance(seen, str) and isinstance(expected, str):
        return None
    try:
        return _number(seen), _number(expected)
    except ValueError:
        return None


def _number(value: Scalar) -> float:
    """Integers stay integers (exact); only what DS and IS allow counts as a number, so neither "nan" nor "1_0"."""
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?", text, re.ASCII) or len(text) > 64:
            raise ValueError(text)
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    return value


def _text(value: Scalar) -> str:
    """The text that text operators see; a whole number without its point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()


def _contains(seen: Scalar, expected: Scalar) -> bool:
    return _text(expected) in _text(seen)


def _starts_with(seen: Scalar, expected: Scalar) -> bool:
    return _text(seen).startswith(_text(expected))


def _ends_with(seen: Scalar, expected: Scalar) -> bool:
    return _text(seen).endswith(_text(expected))


_TESTS: dict[str, Test] = {
    "equals": _equal,
    "in": _equal,
    "contains": _contains,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "lt": _below,
    "le": lambda seen, expected: _at_least(expected, seen),
    "gt": lambda seen, expected: _below(expected, seen),
    "ge": _at_least,
}
