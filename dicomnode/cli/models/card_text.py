"""A model card as the TOML that `dicomnode.enhance.card` reads."""

import json
from typing import Any

from dicomnode.enhance.card import ModelCard

NOT_STATED = "0" * 64
"""A sha256 that says that none was stated: of private images it would only help to find out whose they are."""


def card_text(card: ModelCard, written_by: str) -> str:
    """The whole card; reading it back gives the same card."""
    document = card.model_dump(exclude_none=True)  # not as JSON, which has no infinity
    lines = [f"# Written by `{written_by}`. A sha256 of zeros says that none was stated.", ""]
    lines += [f"limits = {_value(document.pop('limits'))}"]
    for name, table in document.items():
        repeats = isinstance(table, list | tuple)
        rows = table if repeats else [table]
        heading = f"[[{name}]]" if repeats else f"[{name}]"
        for row in rows:
            lines += ["", heading, *(f"{_key(key)} = {_value(value)}" for key, value in row.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    """TOML of a text, number, truth value, list or table; lists of texts go on lines of their own."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple) and value and isinstance(value[0], str):
        return "[\n" + "".join(f"    {_value(each)},\n" for each in value) + "]"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)  # 1e-05, inf and nan are TOML's words too
    # JSON's texts, whole numbers and truth values are TOML's, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
