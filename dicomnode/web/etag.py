"""Unchanged things are not sent again (RFC 9110 13.1.2)."""

import hashlib

from fastapi import Request, Response

from dicomnode.desk.patients import sees
from dicomnode.desk.person import Person


def tag_of(person: Person, *parts: object) -> str:
    """An entity tag of what this person sees of it: what one may see is no answer for another."""
    whole = repr((person.name, person.roles, sees(person), parts))
    return f'"{hashlib.sha256(whole.encode()).hexdigest()[:20]}"'


def unchanged(request: Request, tag: str) -> Response | None:
    """304 for who has it already; None for who has not."""
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    return tagged(Response(status_code=304), tag) if tag in known else None


def tagged(response: Response, tag: str) -> Response:
    """The response with its tag."""
    response.headers["ETag"] = tag
    return response
