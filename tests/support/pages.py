"""The pages of a node as somebody finds them: from Today along every link, each kind of page a few times."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Match

from dicomnode.web.access.gate import _routes

EACH = 2
"""How many pages of one kind are visited: those first found."""


class _Links(HTMLParser):
    """Where a page leads: links, and parts that htmx loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and ((tag == "a" and name == "href") or name == "hx-get"):
                self.found.append(value)


@dataclass
class Found:
    """`pages`: path with query of each whole page -> its route; `routes`: of everything that links lead to, parts of
    pages, pictures and downloads as well."""

    pages: dict[str, str] = field(default_factory=dict)
    routes: set[str] = field(default_factory=set)


def find_pages(visitor: TestClient, each: int = EACH) -> Found:
    """Everything that somebody can find. Fails for a link to something that is not there."""
    app = visitor.app
    assert isinstance(app, FastAPI)
    found = Found()
    seen: set[str] = {"/"}
    taken: Counter[str] = Counter()
    waiting = deque(["/"])
    while waiting:
        path = waiting.popleft()
        route = route_of(app, path)
        if not route or taken[_kind(route, path)] >= each:
            continue
        found.routes.add(route)
        answer = visitor.get(path)
        assert answer.status_code < 400, f"a link leads to {path}, which answers {answer.status_code}"
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        taken[_kind(route, path)] += 1
        if "<html" in answer.text:
            found.pages[path] = route
        for link in _links(answer.text, path):
            if link not in seen:
                seen.add(link)
                waiting.append(link)
    return found


def of_pages(app: FastAPI) -> set[str]:
    """Every route for people that is read by GET."""
    paths = {route.path for route in _routes(app.routes) if "GET" in (route.methods or ())}
    return {path for path in paths if not path.startswith("/api/")} - {"/healthz", "/readyz", "/metrics"}


def route_of(app: FastAPI, path: str) -> str:
    """The template of the route that answers, such as `/series/{uid}`; empty for none."""
    scope = {"type": "http", "method": "GET", "path": urlsplit(path).path, "root_path": "", "headers": []}
    for route in _routes(app.routes):
        if route.matches(scope)[0] is Match.FULL:
            return route.path
    return ""


def _kind(route: str, path: str) -> str:
    """Pages of one route that are asked for different things are different pages."""
    names = sorted(part.split("=")[0] for part in urlsplit(path).query.split("&") if part)
    return f"{route}?{','.join(names)}"


def _links(html: str, base: str) -> Iterator[str]:
    parser = _Links()
    parser.feed(html)
    for link in parser.found:
        target = urlsplit(urljoin(base, link))
        if not target.netloc and not target.path.startswith("/api/"):
            yield target.path + (f"?{target.query}" if target.query else "")
