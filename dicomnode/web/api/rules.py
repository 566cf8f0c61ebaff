"""Rules: those in force, why they did what they did, words to write them with, and replays of what they would do."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from dicomnode.desk.person import Person
from dicomnode.desk.rules import attributes as words
from dicomnode.desk.rules import replay as desk
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.evidence import evidence_of
from dicomnode.desk.rules.explain import explain_series
from dicomnode.desk.rules.in_force import rules_in_force
from dicomnode.desk.rules.telling import told_changes, told_explanation
from dicomnode.desk.rules.validation import validated
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.access.names_asked import Names, seeing
from dicomnode.web.api.rule_items import ChangeItem, ReplayAsked, ReplayItem, RuleItem, RulesNow
from dicomnode.web.paging import LIMIT, Cursor, Limit, Page, decode, page_of
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/rules", tags=["rules"])
Looks = Annotated[Person, allow(Permission.RULES)]
Tries = Annotated[Person, allow(Permission.RULES_TRY)]
Id = Annotated[int, Path(ge=1, le=(1 << 63) - 1, description="Number of the replay.")]
Uid = Annotated[str, Query(max_length=64, description="Series Instance UID.")]
Revision = Annotated[int | None, Query(ge=1, le=(1 << 63) - 1)]
Text = Annotated[str, Query(max_length=64)]


@router.get("", summary="The rules in force")
def listing(flow: TheFlow, person: Looks) -> RulesNow:
    """In the order of their writing."""
    now = rules_in_force(flow)
    return RulesNow(revision=now.number, rules=[RuleItem.of(rule) for rule in now.rules])


@router.get("/explain", summary="What each rule says of a series, and why")
def explain(
    flow: TheFlow, person: Looks, series: Uid, revision: Revision = None, draft: bool = False, names: Names = False
) -> dict[str, Any]:
    """By the revision in force, by another one, or by the draft; from stored facts, also when the files are gone.

    What was seen of a patient is hidden without `names`.
    """
    person = seeing(person, names)
    return told_explanation(flow, person, explain_series(flow, series, revision, draft=draft))


@router.get("/evidence/{rule:path}", summary="What a rule did since it is what it is")
def evidence(flow: TheFlow, person: Looks, rule: Annotated[str, Path(max_length=64)]) -> dict[str, Any]:
    """Of a shadow: what to look at before it goes live."""
    return evidence_of(flow, rule).to_json()


@router.get("/attributes", summary="What a condition may ask about")
def attributes(flow: TheFlow, person: Looks, q: Annotated[str, Query(max_length=200)] = "") -> list[dict[str, Any]]:
    """At most 20, by keyword, name or tag: computed facts, then attributes, with values that are often seen here."""
    return [word.to_json() for word in words.search_words(flow, q)]


@router.get("/pipelines", summary="Parameters of every pipeline, as JSON schema")
def pipelines(flow: TheFlow, person: Looks) -> dict[str, dict[str, Any]]:
    """By name, those that can be used."""
    return words.params_schemas(flow)


@router.post("/replays", summary="Try a document on the past", status_code=202)
def start(flow: TheFlow, person: Tries, asked: ReplayAsked) -> ReplayItem:
    """It begins within a second; ask for it again to see how far it is."""
    site = validated(flow, asked.document, known=read_draft(flow).known) if asked.document is not None else None
    replay_id = desk.start_replay(flow, person, site, days=asked.days)
    return ReplayItem.model_validate(desk.read_replay(flow, replay_id))


@router.get("/replays", summary="Replays, the newest first")
def replays(flow: TheFlow, person: Looks, limit: Limit = LIMIT, cursor: Cursor = "") -> Page[ReplayItem]:
    """Whoever asked for them."""
    key = decode(cursor, int)
    rows, further = page_of(desk.list_replays(flow, key and key[0], limit + 1), limit, lambda row: (row.id,))
    return Page(items=[ReplayItem.model_validate(row) for row in rows], next=further)


@router.get("/replays/{id}", summary="A replay: how far it is, what it found")
def replay(flow: TheFlow, person: Looks, id: Id) -> ReplayItem:
    """`result` is empty until it is done."""
    return ReplayItem.model_validate(desk.read_replay(flow, id))


@router.post("/replays/{id}/stop", summary="End a replay")
def stop(flow: TheFlow, person: Tries, id: Id) -> ReplayItem:
    """What it found until now stays."""
    return ReplayItem.model_validate(desk.stop_replay(flow, person, id))


@router.get("/replays/{id}/changes", summary="Series that would be treated otherwise")
def changes(
    flow: TheFlow,
    person: Looks,
    id: Id,
    rule: Text = "",
    kind: Text = "",
    limit: Limit = LIMIT,
    cursor: Cursor = "",
    names: Names = False,
) -> Page[ChangeItem]:
    """Each with what was said and what would be, and why; `result.changes_left_out` of the replay are counted only.

    What was seen of a patient is hidden without `names`.
    """
    person, key = seeing(person, names), decode(cursor, int)
    after = key[0] if key else 0
    found = desk.replay_changes(flow, id, rule=rule, kind=kind, after=after, limit=limit + 1)
    rows, further = page_of(found, limit, lambda row: (row.id,))
    asked = {"rule": rule, "kind": kind, "after": after or ""}
    told = told_changes(flow, person, desk.read_replay(flow, id), rows, asked)
    return Page(items=[ChangeItem(**each) for each in told], next=further)
