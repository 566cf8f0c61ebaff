"""Text that every database holds: PostgreSQL takes no NUL, and no UTF-8 has a lone surrogate (Unicode 3.9, D92)."""

import re
from collections.abc import Mapping
from typing import Any

REPLACEMENT = "\ufffd"
"""Unicode's own REPLACEMENT CHARACTER: it says that there was something."""

_UNHELD = re.compile("[\0\ud800-\udfff]")


def storable_text(text: str) -> str:
    """`text` with `REPLACEMENT` for every character that no database holds; itself where there is none."""
    return _UNHELD.sub(REPLACEMENT, text)


def storable(value: Any) -> Any:
    """The same for every text in a JSON document, keys included. What is no text, mapping or list is left as it is."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, Mapping):
        return {storable(key): storable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable(each) for each in value]
    return value
