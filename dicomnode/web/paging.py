"""Keyset pagination: a page ends with a cursor that says where the next one begins, however deep it lies.

Unlike an offset, a cursor costs the same on the thousandth page as on the first, and what arrives meanwhile neither
repeats nor hides a row.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from dicomnode.desk.refused import Refused

Item = TypeVar("Item")
Key = tuple[str | int, ...]
"""Where a row stands in the order of its list: the columns it is ordered by, the last one unique."""

LIMIT = 50
Limit = Annotated[int, Query(ge=1, le=200, description="At most this many.")]
Cursor = Annotated[str, Query(max_length=500, description="`next` of the page before; empty for the first.")]


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is null on the last one."""

    items: list[Item]
    next: str | None


def page_of(rows: Sequence[Item], limit: int, key: Callable[[Item], Key]) -> tuple[Sequence[Item], str | None]:
    """The first `limit` of `rows`, and the cursor behind them if there were more: ask the database for one too many."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode(key(rows[limit - 1]))


def encode(key: Key) -> str:
    """A cursor: opaque to who passes it on."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type) -> Any:
    """The key of a cursor, None for an empty one. Raises Refused unless it has values of these types."""
    if not cursor:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error) as error:
        raise Refused("this is no cursor of this list: begin at its first page") from error
    if not isinstance(key, list) or [type(each) for each in key] != list(kinds) or not all(map(_is_asked, key)):
        raise Refused("this is no cursor of this list: begin at its first page")
    return tuple(key)


def _is_asked(value: str | int) -> bool:
    """Whether a database can be asked for it: no number of more than 64 bits, no text with a NUL."""
    return "\0" not in value if isinstance(value, str) else abs(value) < 1 << 63
