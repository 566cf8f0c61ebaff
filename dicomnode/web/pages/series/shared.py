"""What the pages of series have in common."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Request

from dicomnode.desk import patients
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.queue_fields import NO_NUL

Looks = Annotated[Person, allow(Permission.SERIES)]
Sees = Annotated[Person, allow(Permission.PATIENTS)]
Runs = Annotated[Person, allow(Permission.SERIES_RUN)]
Uid = Annotated[str, Path(max_length=128, pattern=NO_NUL)]


def url_of(uid: str, *more: object) -> str:
    """Address of the page of a series, or of a part of it."""
    return "/".join(("/series", quote(uid, safe=""), *map(str, more)))


def names(request: Request, person: Person) -> dict[str, Any]:
    """What the button that shows and hides names needs: whether they are shown, and the page to come back to."""
    query = f"?{request.url.query}" if request.url.query else ""
    return {"names": patients.sees(person), "here": request.url.path + query, "named": patients.readable_name}
