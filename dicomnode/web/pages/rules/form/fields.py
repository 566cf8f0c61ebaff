"""The fields of a form as they were sent: every name with its values, in order."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from dicomnode.desk.refused import Refused

Fields = Mapping[str, Sequence[str]]

MAX_BYTES = 2 << 20
MAX_FIELDS = 20_000


class Errors(dict[str, str]):
    """What is wrong at each field; nothing at any other."""

    def __missing__(self, name: str) -> str:
        return ""


def one(fields: Fields, name: str, default: str = "") -> str:
    """The first value of a field."""
    return next(iter(fields.get(name, ())), default)


async def _sent(request: Request) -> Fields:
    """Read here and not by the framework, whose limits are those of small forms. Raises Refused for what is no form."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise Refused(f"the form is larger than {MAX_BYTES >> 20} MiB")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Refused("this is not what the form of this page sends") from error
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


Sent = Annotated[Fields, Depends(_sent)]
"""The fields of this request; of a page's own form (application/x-www-form-urlencoded)."""
