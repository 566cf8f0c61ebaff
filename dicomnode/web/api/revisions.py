"""Revisions of the rules, the draft of the next one, and how it comes in force."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules import revisions as desk
from dicomnode.desk.rules.draft import Draft, discard_draft, read_draft, save_draft
from dicomnode.desk.rules.merge import rebase
from dicomnode.desk.rules.publish import publish, rollback, why_not_yet
from dicomnode.domain.roles import Permission
from dicomnode.flow import Flow
from dicomnode.web.access.gate import allow
from dicomnode.web.api.rule_items import (
    DraftAsked,
    DraftItem,
    InForceItem,
    PublishAsked,
    RebaseAsked,
    RevisionDetail,
    RevisionItem,
    RollbackAsked,
    Version,
)
from dicomnode.web.paging import LIMIT, Cursor, Limit, Page, decode, page_of
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/rules", tags=["rules"])
Looks = Annotated[Person, allow(Permission.RULES)]
Tries = Annotated[Person, allow(Permission.RULES_TRY)]
Publishes = Annotated[Person, allow(Permission.RULES_PUBLISH)]
Number = Annotated[int, Path(ge=1, le=(1 << 63) - 1, description="Number of the revision.")]
Side = Annotated[str, Query(pattern=r"^([1-9][0-9]{0,17}|draft|in force)$")]


@router.get("/revisions", summary="Revisions, the newest first")
def revisions(flow: TheFlow, person: Looks, limit: Limit = LIMIT, cursor: Cursor = "") -> Page[RevisionItem]:
    """The first of all is the one in force."""
    key = decode(cursor, int)
    rows, further = page_of(desk.list_revisions(flow, key and key[0], limit + 1), limit, lambda row: (row.number,))
    return Page(items=[RevisionItem.model_validate(row) for row in rows], next=further)


@router.get("/revisions/{number}", summary="A revision with all destinations and rules")
def revision(flow: TheFlow, person: Looks, number: Number) -> RevisionDetail:
    """It never changes."""
    return RevisionDetail.of(desk.read_revision(flow, number))


@router.get("/diff", summary="What differs between two revisions")
def diff(flow: TheFlow, person: Looks, before: Side = "in force", after: Side = "draft") -> dict[str, Any]:
    """Each side is a number, `draft` or `in force`; rule by rule, condition by condition."""
    return desk.diff_named(flow, before, after).to_json()


@router.get("/draft", summary="The draft")
def draft(flow: TheFlow, person: Looks) -> DraftItem:
    """Untouched, it is the revision in force."""
    return _told(flow, read_draft(flow))


@router.put("/draft", summary="Put a whole document in the draft's place")
def put(flow: TheFlow, person: Tries, asked: DraftAsked) -> DraftItem:
    """Refused as a whole, with every finding; 409 where somebody else changed it since `version` was read."""
    if (asked.document is None) is (asked.yaml is None):
        raise Refused("send either `document` or `yaml`")
    document = asked.document if asked.document is not None else asked.yaml
    assert document is not None
    return _told(flow, save_draft(flow, person, document, asked.version))


@router.delete("/draft", summary="Throw the draft away")
def discard(flow: TheFlow, person: Tries, version: Annotated[Version, Query()]) -> DraftItem:
    """Returns the one to start from again."""
    return _told(flow, discard_draft(flow, person, version))


@router.post("/draft/rebase", summary="Bring the draft together with the revision in force")
def bring_together(flow: TheFlow, person: Tries, asked: RebaseAsked) -> DraftItem:
    """409 with the names of what both changed, unless `prefer` says whose is taken."""
    return _told(flow, rebase(flow, person, asked.version, asked.prefer))


@router.post("/draft/publish", summary="Put the draft in force")
def put_in_force(flow: TheFlow, person: Publishes, asked: PublishAsked) -> InForceItem:
    """409 unless a replay of exactly this draft against the revision in force is done."""
    return InForceItem.of(publish(flow, person, asked.version, asked.comment))


@router.post("/rollback", summary="Put an earlier revision in force again")
def restore(flow: TheFlow, person: Publishes, asked: RollbackAsked) -> InForceItem:
    """As a new revision; held against the pipelines of today."""
    return InForceItem.of(rollback(flow, person, asked.number, asked.comment))


def _told(flow: Flow, draft: Draft) -> DraftItem:
    return DraftItem.of(draft, why_not_yet(flow))
