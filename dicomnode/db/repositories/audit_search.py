"""Searching the audit log by any filters, in bounded time, however few events pass.

A search walks the events of the one filter that leaves fewest, through its index, and looks at no more than LOOKED_AT
of them at a time. Where the others let too little pass, the page is short and its cursor says how far the search came.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, select, true, tuple_, union_all
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditChain, AuditEvent
from dicomnode.db.repositories.accounts import token_actors

LOOKED_AT = 5_000
MOST_BRANCHES = 100
"""Walks of an index in one statement: SQLite joins no more than 500."""
_E = AuditEvent
_USUAL = {"node", "success"}
_UNUSUAL = literal_column("outcome") != literal_column("'success'")
"""As the index of outcomes says it, for the database to see that it holds what is asked for."""

Key = tuple[datetime, int]
"""Where an event stands in the order of time: `at`, and `id` among equal ones."""


@dataclass(frozen=True)
class Filters:
    """What events must have; empty: anything. `until` is the first instant that is too late.

    `kinds`: any of these. `actor`: with what the programs of that account did by its tokens. `last_id`: no event with a
    higher one, for what must not grow while it is read.
    """

    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] = ()
    actor: str = ""
    outcome: str = ""
    study_uid: str = ""
    series_uid: str = ""
    subject: str = ""
    last_id: int | None = None
    programs: tuple[str, ...] = ()
    """What the log calls those programs; `search` and `count` look it up."""


@dataclass(frozen=True)
class Found:
    """Events in order, and where to go on: None at the end. There may be more behind a page that is short or empty."""

    events: Sequence[AuditEvent]
    next: Key | None


def search(
    session: Session, filters: Filters, limit: int, after: Key | None = None, *, oldest_first: bool = False
) -> Found:
    """At most `limit` events behind `after`, the newest first unless told otherwise."""
    return _Search(_with_programs(session, filters), after, oldest_first, limit).run(session)


def count(session: Session, filters: Filters) -> int:
    """How many events pass; looks at all that its best index leaves."""
    filters = _with_programs(session, filters)
    conditions = (*_window(filters), *_conditions(filters).values())
    return session.scalar(select(func.count()).select_from(_E).where(*conditions)) or 0


def _with_programs(session: Session, filters: Filters) -> Filters:
    """By name and not by how they begin: an index of words in a hospital's language does not sort by that."""
    return replace(filters, programs=token_actors(session, filters.actor)) if filters.actor else filters


def links(session: Session, ids: Sequence[int]) -> Mapping[int, AuditChain]:
    """The seals of these events, by event."""
    query = select(AuditChain).where(AuditChain.event_id.in_(ids))
    return {link.event_id: link for link in session.scalars(query)}


def highest_id(session: Session) -> int:
    """The id of the event written last; 0 for an empty log."""
    return session.scalar(select(func.max(_E.id))) or 0


def _as_it_is(column: Any) -> Any:
    return column


def _without_index(column: Any) -> Any:
    """For what is asked of rows that are found already: no planner shall walk another index for it."""
    return func.coalesce(column, "")


def _conditions(filters: Filters, of: Callable[[Any], Any] = _as_it_is) -> dict[str, ColumnElement[bool]]:
    """The filters that are set, the one that leaves fewest first."""
    few = {"series_uid": _E.series_uid, "study_uid": _E.study_uid, "subject": _E.subject}
    found = {name: of(column) == getattr(filters, name) for name, column in few.items() if getattr(filters, name)}
    if filters.actor and filters.actor != "node":
        found["actor"] = of(_E.actor).in_((filters.actor, *filters.programs))
    if filters.kinds:
        found["kinds"] = of(_E.kind).in_(filters.kinds)
    if filters.outcome and filters.outcome != "success":
        found["outcome"] = and_(of(_E.outcome) == filters.outcome, _UNUSUAL)
    if filters.actor == "node":  # nearly all of them: no index helps
        found["actor"] = of(_E.actor) == filters.actor
    if filters.outcome == "success":
        found["outcome"] = of(_E.outcome) == filters.outcome
    return found


def _window(filters: Filters) -> Iterator[ColumnElement[bool]]:
    if filters.since is not None:
        yield _E.at >= filters.since
    if filters.until is not None:
        yield _E.at < filters.until
    if filters.last_id is not None:
        yield _E.id <= filters.last_id


@dataclass
class _Search:
    """One search. A branch is what one index is walked for: one for each kind, one for each name of who acted, else one
    alone.
    """

    filters: Filters
    after: Key | None
    oldest_first: bool
    limit: int
    branches: list[ColumnElement[bool]] = field(init=False)
    rest: list[ColumnElement[bool]] = field(init=False)

    def __post_init__(self) -> None:
        conditions = _conditions(self.filters)
        lead = next((name for name in conditions if getattr(self.filters, name) not in _USUAL), None)
        if lead is None:
            self.branches = [true()]
        elif lead == "kinds":
            self.branches = [_E.kind == kind for kind in self.filters.kinds]
        elif lead == "actor" and len(self.filters.programs) < MOST_BRANCHES:
            self.branches = [_E.actor == name for name in (self.filters.actor, *self.filters.programs)]
        else:
            self.branches = [conditions[lead]]
        self.rest = [each for name, each in _conditions(self.filters, _without_index).items() if name != lead]

    def run(self, session: Session) -> Found:
        each = max(LOOKED_AT // len(self.branches), self.limit + 1) if self.rest else self.limit + 1
        floors = self._floors(session, each) if self.rest else []
        rows = session.scalars(self._rows(each)).all()
        floor = (min(floors) if self.oldest_first else max(floors)) if floors else None
        if floor is not None:
            rows = [row for row in rows if not self._is_behind(_key(row), floor)]
        if len(rows) > self.limit:
            return Found(rows[: self.limit], _key(rows[self.limit - 1]))
        return Found(rows, floor)

    def _rows(self, each: int) -> Select[AuditEvent]:
        candidates = [select(self._walk(branch).limit(each).subquery().c.id) for branch in self.branches]
        ids = union_all(*candidates).subquery() if len(candidates) > 1 else candidates[0].subquery()
        query = select(_E).join(ids, ids.c.id == _E.id).where(*self.rest)
        return query.order_by(*self._order()).limit(self.limit + 1)

    def _floors(self, session: Session, each: int) -> list[Key]:
        """How far each branch is looked at, for those that go on behind that."""
        ends = [self._walk(branch).offset(each - 1).limit(1).subquery() for branch in self.branches]
        selects = [select(end.c.at, end.c.id) for end in ends]
        found = session.execute(union_all(*selects) if len(selects) > 1 else selects[0])
        return [(row.at, row.id) for row in found]

    def _walk(self, branch: ColumnElement[bool]) -> Select[datetime, int]:
        query = select(_E.at, _E.id).where(branch, *_window(self.filters))
        if self.after is not None:
            here = tuple_(_E.at, _E.id)
            query = query.where(here > self.after if self.oldest_first else here < self.after)
        return query.order_by(*self._order())

    def _order(self) -> Sequence[ColumnElement[Any]]:
        return (_E.at.asc(), _E.id.asc()) if self.oldest_first else (_E.at.desc(), _E.id.desc())

    def _is_behind(self, key: Key, floor: Key) -> bool:
        return key > floor if self.oldest_first else key < floor


def _key(row: AuditEvent) -> Key:
    return row.at, row.id
