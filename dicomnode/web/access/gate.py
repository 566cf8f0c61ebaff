"""The gate before every route: it names the one permission it needs, and nothing is reached without."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.identify import identify


class NotSignedIn(Exception):
    """Nobody, or somebody whose session is over."""


class NotPermitted(Exception):
    """Somebody whose roles do not include the permission."""

    def __init__(self, person: Person, permission: Permission) -> None:
        super().__init__(f"this needs the permission {permission}, which {', '.join(person.roles) or 'no role'} lacks")
        self.person, self.permission = person, permission


class _Gate:
    """A dependency that lets those pass who may."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __call__(self, request: Request) -> Person:
        person = identify(request)
        if person is None:
            raise NotSignedIn
        if not person.may(self.permission):
            raise NotPermitted(person, self.permission)
        request.state.person = person
        return person


def allow(permission: Permission) -> Any:
    """`person: Annotated[Person, allow(Permission.QUEUE)]`: the route is reached by who may, and knows who it is."""
    return Depends(_Gate(permission))


def public(function: Any) -> Any:
    """Mark a route that anybody may reach: sign-in, health. It has no patient data and changes nothing of a site."""
    function.is_public = True
    return function


def gates(app: FastAPI) -> dict[tuple[str, str], Permission | None]:
    """(method, path) of every route with what it needs; None: public. Raises ValueError for an unguarded one."""
    found: dict[tuple[str, str], Permission | None] = {}
    for route in _routes(app.routes):
        needs = [*_permissions(route.dependant)]
        if len(needs) != (0 if getattr(route.endpoint, "is_public", False) else 1):
            raise ValueError(f"{route.path} names {len(needs)} permissions: every route names one, or is public")
        for method in route.methods or ():
            found[method, route.path] = needs[0] if needs else None
    return found


def _routes(routes: Any) -> Iterator[APIRoute]:
    """Every route, those of included routers too, which FastAPI keeps as routers of their own."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from _routes(included.routes)


def _permissions(dependant: Dependant) -> Iterator[Permission]:
    for each in dependant.dependencies:
        if isinstance(each.call, _Gate):
            yield each.call.permission
        yield from _permissions(each)


May = Annotated[Person, allow(Permission.SELF)]
"""Anybody who is signed in."""
