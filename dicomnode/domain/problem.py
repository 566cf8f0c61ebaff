"""What is wrong with a document, in words for the person who wrote it: where, what, and what was perhaps meant."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError


@dataclass(frozen=True)
class Problem:
    """One finding: `path` as in `rules[2].when.all[1].attribute`, a plain sentence, the nearest names if any."""

    path: str
    message: str
    nearest: tuple[str, ...] = ()
    line: int | None = None

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line else ""
        place = f"{self.path} ({line})" if self.path and line else self.path or line
        hint = f" Did you mean {' or '.join(self.nearest)}?" if self.nearest else ""
        return f"{place}: {self.message}{hint}" if place else f"{self.message}{hint}"

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "message": self.message, "nearest": list(self.nearest), "line": self.line}


def nearest(name: str, known: Collection[str], count: int = 3) -> tuple[str, ...]:
    """Up to `count` of the known names that resemble `name`, best first, without regard to case."""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    return tuple(by_folded[hit] for hit in get_close_matches(name.casefold(), by_folded, n=count, cutoff=0.6))


def refusal(sentence: str, near: Sequence[str] = (), parts: Sequence[tuple[str, Problem]] = ()) -> PydanticCustomError:
    """An error to raise inside a validator. `parts` are findings below this place: (relative path, problem)."""
    return PydanticCustomError("refused", "{sentence}", {"sentence": sentence, "nearest": near, "parts": parts})


def path_text(location: Sequence[str | int]) -> str:
    """`("rules", 2, "when")` as `rules[2].when`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).removeprefix(".")


def problems_of(error: ValidationError, known_keys: Collection[str] = ()) -> list[Problem]:
    """Every finding of a failed validation as a `Problem`; `known_keys` are offered where a key is unknown."""
    found: list[Problem] = []
    for detail in error.errors(include_url=False, include_input=True):
        # Tags of tagged unions are written "(all)": steps of pydantic's path that the document does not have.
        steps = [step for step in detail["loc"] if not (isinstance(step, str) and re.fullmatch(r"\([a-z]+\)", step))]
        context = detail.get("ctx", {})
        if context.get("parts"):
            for below, part in context["parts"]:
                joint = "" if not below or below.startswith("[") else "."
                path = (path_text(steps) + joint + below).removeprefix(".")
                found.append(Problem(path, part.message, part.nearest))
            continue
        near = tuple(context.get("nearest", ()))
        if detail["type"] == "extra_forbidden" and steps:
            near = nearest(str(steps[-1]), known_keys)
        found.append(Problem(path_text(steps), _sentence(detail), near))
    return list(dict.fromkeys(found))


_SENTENCES = {
    "missing": "this is required and missing.",
    "extra_forbidden": "this name is not known here.",
    "string_type": "must be text; put it in quotes.",
    "int_type": "must be a whole number.",
    "int_from_float": "must be a whole number.",
    "float_type": "must be a number.",
    "bool_type": "must be true or false.",
    "tuple_type": "must be a list.",
    "list_type": "must be a list.",
    "dict_type": "must be a mapping of names to values.",
    "model_type": "must be a mapping of names to values.",
    "model_attributes_type": "must be a mapping of names to values.",
    "invalid_key": "a name must be text; put it in quotes.",
    "recursion_loop": "refers to itself.",
}


def _sentence(detail: ErrorDetails) -> str:
    text = _SENTENCES.get(detail["type"])
    if text is None:
        text = re.sub(r"^Input should ", "must ", re.sub(r"^Value error, ", "", detail["msg"]))
    return text if text.endswith((".", "?")) else text + "."
