"""Metadata envelope: a series unlike what the model was trained on is withheld before a network sees it."""

from collections.abc import Iterator, Sequence

from dicomnode.domain.facts import Scalar, SeriesFacts
from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.enhance.api import Envelope

NAME = "envelope"
_MOST_REASONS = 5


def check_envelope(envelope: Envelope, instances: Sequence[SeriesFacts], series: SeriesFacts) -> GuardFigure:
    """Hold every value of every instance against the envelope; one value outside withholds the series.

    `instances` are the facts of each image that the network is to see, so that a localizer among them, which is
    skipped, does not count. Names that the instances do not have are looked up in the series' computed facts.
    """
    reasons = list(dict.fromkeys(_outside(envelope, instances, series)))
    if not reasons:
        return GuardFigure(NAME, Verdict.PASS, None)
    more = f" and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    return GuardFigure(NAME, Verdict.WITHHOLD, None, reason="; ".join(reasons[:_MOST_REASONS]) + more)


def _outside(envelope: Envelope, instances: Sequence[SeriesFacts], series: SeriesFacts) -> Iterator[str]:
    for name in envelope.required:
        absent = sum(not _values(name, facts, series) for facts in instances)
        if absent:
            yield f"{name} is absent in {absent} of {len(instances)} images"
    for name, allowed in envelope.text.items():
        inside = {text.casefold() for text in allowed}
        for value in _distinct(name, instances, series):
            if str(value).strip().casefold() not in inside:
                yield f"{name} is {value}, the model knows {', '.join(allowed)}"
    for name, (low, high) in envelope.number.items():
        for value in _distinct(name, instances, series):
            number = _number(value)
            if number is None or not low <= number <= high:
                yield f"{name} is {value}, the model knows {low:g} to {high:g}"


def _distinct(name: str, instances: Sequence[SeriesFacts], series: SeriesFacts) -> list[Scalar]:
    return list(dict.fromkeys(value for facts in instances for value in _values(name, facts, series)))


def _values(name: str, facts: SeriesFacts, series: SeriesFacts) -> list[Scalar]:
    values = [value for value in facts.components(name) if value != ""]
    computed = series.computed.get(name)
    return values or ([computed] if computed is not None else [])


def _number(value: Scalar) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
