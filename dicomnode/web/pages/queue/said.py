"""What a page says after something was done to jobs or deliveries, and where the browser goes then."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.desk.bulk import Result
from dicomnode.desk.person import Person
from dicomnode.web.rendering import page

Verb = Annotated[str, Query(max_length=20)]
Done = Annotated[int, Query(ge=0, le=10**9)]

WORDS: Mapping[str, Mapping[str, str]] = {
    "job": {"retry": "ready again", "cancel": "cancelled", "reroute": "done by another pipeline"},
    "delivery": {"retry": "sent again", "cancel": "cancelled", "reroute": "sent elsewhere", "confirm": "asked about"},
}
"""What becomes of it, by noun and verb."""

PATHS = {"job": "/queue", "delivery": "/queue/deliveries"}
"""The list of each noun; one of it is at its number below that."""


def counted(noun: str, count: int) -> str:
    """ "1 job", "2 deliveries"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def said_of(noun: str, verb: str, done: int) -> str:
    """The sentence for what was done, empty if nothing was."""
    if not done or verb not in WORDS[noun]:
        return ""
    return f"{counted(noun, done)} {'is' if done == 1 else 'are'} {WORDS[noun][verb]}."


def address_of(path: str, query: Mapping[str, str | int]) -> str:
    """`path` with a query string, if there is anything to ask."""
    return f"{path}?{urlencode(query)}" if query else path


def answer(
    request: Request,
    person: Person,
    noun: str,
    verb: str,
    result: Result,
    query: Mapping[str, str],
    *,
    one: int | None = None,
    form: Mapping[str, str | int] | None = None,
) -> Response:
    """Back to where it was asked, if all was done; else a page that says what was refused and why, and what is left.

    `one`: it was asked on the page of that row. `form`: how to ask for what is left, the same filter again.
    """
    if not result.refused and not result.left:
        path = PATHS[noun] if one is None else f"{PATHS[noun]}/{one}"
        where = address_of(path, {**({} if one else query), "verb": verb, "done": len(result.done)})
        return RedirectResponse(where, 303)
    return page(
        request,
        "queue/result.html",
        person,
        noun=noun,
        said=said_of(noun, verb, len(result.done)),
        refused=result.refused,
        refused_count=counted(noun, len(result.refused)),
        left=counted(noun, result.left) if result.left else "",
        path=PATHS[noun],
        back=address_of(PATHS[noun], query),
        form=form if result.left else None,
    )
