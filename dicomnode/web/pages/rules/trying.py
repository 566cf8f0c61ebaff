"""Trying the draft on the past: asking for a replay, watching it, and every series that it found to change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from dicomnode.db.models import Replay
from dicomnode.db.repositories import replays
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import Draft, read_draft
from dicomnode.desk.rules.publish import why_not_yet
from dicomnode.desk.rules.replay import DAYS, MOST_DAYS, read_replay, replay_changes, stop_replay
from dicomnode.desk.rules.telling import told_changes
from dicomnode.domain.roles import Permission
from dicomnode.flow import Flow
from dicomnode.web.access.gate import allow
from dicomnode.web.paging import LIMIT, Cursor, decode, page_of
from dicomnode.web.queue_fields import NO_NUL, Number
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/rules", include_in_schema=False)

Reader = Annotated[Person, allow(Permission.RULES)]
Writer = Annotated[Person, allow(Permission.RULES_TRY)]
Words = Annotated[str, Query(max_length=200, pattern=NO_NUL)]

KINDS = {
    "gains": "gains an enhancement",
    "loses": "loses an enhancement",
    "other": "is treated otherwise",
    "shadow": "as a shadow only",
    "more": "more originals are forwarded",
    "fewer": "fewer originals are forwarded",
    "elsewhere": "originals are forwarded elsewhere",
    "unclear": "perhaps other originals are forwarded",
}


@dataclass(frozen=True)
class Trial:
    """The newest replay of exactly this draft against the revision in force, if there is one."""

    replay: Replay | None

    @property
    def runs(self) -> bool:
        return self.replay is not None and self.replay.state == "running"

    @property
    def done(self) -> bool:
        return self.replay is not None and self.replay.state == "done"

    @property
    def words(self) -> str:
        """ "not replayed", "replayed: 214 series, 9 change: 7 gain ct-denoise, 2 lose" """
        if self.replay is None:
            return "not replayed"
        if self.runs:
            return f"its replay runs: {self.replay.done} of {self.replay.total} series"
        if not self.done:
            return f"its replay {'was stopped' if self.replay.state == 'stopped' else 'failed'}"
        return f"replayed: {self.replay.result.get('summary', '')}"


def trial_of(flow: Flow, draft: Draft) -> Trial:
    """Of the draft as it stands: one that is through, rather than one that was broken off after it."""
    with flow.database.read() as session:
        newest = replays.of_document(session, draft.digest, draft.in_force)
        if newest is not None and newest.state == "running":
            return Trial(newest)
        return Trial(replays.done_for(session, draft.digest, draft.in_force) or newest)


def about_trial(flow: Flow, draft: Draft) -> dict[str, Any]:
    """What the part of the page needs that tells of the replay and lets publish."""
    return {
        "draft": draft,
        "trial": trial_of(flow, draft),
        "why_not": why_not_yet(flow),
        "days": DAYS,
        "most_days": MOST_DAYS,
        "comment": "",
    }


_BY_RULE = ("rules", "forwarding_rules")
"""Parts of a result that tell of rules."""


@router.get("/draft/trial")
def trial(request: Request, flow: TheFlow, person: Reader) -> Response:
    """How far the replay is; a part of the page of the draft."""
    return page(request, "rules/_trial.html", person, **about_trial(flow, read_draft(flow)))


@router.post("/replays/{replay_id}/stop")
def stop(flow: TheFlow, person: Writer, replay_id: Number) -> Response:
    """Break it off; one that is over meanwhile needs nobody to."""
    try:
        stop_replay(flow, person, replay_id)
    except Refused as refused:
        if refused.kind != "conflict":
            raise
    return RedirectResponse("/rules/draft#trial", 303)


@router.get("/replays/{replay_id}")
def found(
    request: Request,
    flow: TheFlow,
    person: Reader,
    replay_id: Number,
    rule: Words = "",
    kind: Words = "",
    cursor: Cursor = "",
) -> Response:
    """What it found, series by series."""
    row = read_replay(flow, replay_id)
    key = decode(cursor, int)
    changes = replay_changes(flow, replay_id, rule=rule, kind=kind, after=key[0] if key else 0, limit=LIMIT + 1)
    rows, further = page_of(changes, LIMIT, lambda change: (change.id,))
    asked = {name: value for name, value in (("rule", rule), ("kind", kind)) if value}
    told = told_changes(flow, person, row, rows, {**asked, "after": key[0] if key else ""})
    return page(
        request,
        "rules/replay.html",
        person,
        replay=row,
        rows=[(change, *_sides(change["before"], change["after"])) for change in told],
        of_draft=row.digest == read_draft(flow).digest,
        rules=list(dict.fromkeys(each["rule"] for part in _BY_RULE for each in row.result.get(part, []))),
        rule=rule,
        kind=kind,
        kinds=KINDS,
        further=_address(replay_id, asked | {"cursor": further}) if further else "",
        first=_address(replay_id, asked) if cursor else "",
    )


def _address(replay_id: int, asked: dict[str, str]) -> str:
    return f"/rules/replays/{replay_id}" + (f"?{urlencode(asked)}" if asked else "")


def _sides(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str]:
    """What the rule said of the series, and what it says by the document."""
    acting = before.get("acts") and after.get("acts")
    differing = [name for name in _HOW if acting and before.get(name) != after.get(name)]
    return _said(before) + _how(before, differing), _said(after) + _how(after, differing)


def _said(side: Mapping[str, Any]) -> str:
    """What a rule says of a series: "matches: ct-denoise; delivers to pacs"."""
    outcome = str(side.get("outcome", "there is no such rule"))
    to = ", ".join(side.get("deliver_to", ()))
    return f"{outcome}; delivers to {to}" if to and side.get("acts") else outcome


def _how(side: Mapping[str, Any], names: Iterable[str]) -> str:
    """What differs of how it is done: "; priority stat; strength 0.6"."""
    words = []
    for name in names:
        value = side.get(name)
        if isinstance(value, Mapping):
            words += [f"{each} {part}" for each, part in value.items()] or [f"{_HOW[name]} by default"]
        else:
            words.append(f"{_HOW[name]} {'none' if value is None else value}")
    return "".join(f"; {each}" for each in words)


_HOW = {
    "params": "parameters",
    "priority": "priority",
    "deadline_minutes": "deadline in minutes:",
    "on_overload": "with more work than time:",
    "writer": "written",
}
"""What a side tells of how the work is done, and how a page says it."""
