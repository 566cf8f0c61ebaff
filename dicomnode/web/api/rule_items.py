"""Rules, revisions, the draft and replays as documents, and how changes of them are asked."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from dicomnode.db.models import SiteRevision
from dicomnode.desk.rules.draft import Draft
from dicomnode.desk.rules.force import InForce
from dicomnode.desk.rules.in_force import RuleNow
from dicomnode.web.queue_fields import Number

Version = Annotated[int, Field(ge=0, le=(1 << 63) - 1, description="Of the draft that was read.")]
Comment = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$", description="Why; kept with the revision.")]
Document = dict[str, Any]


class _Item(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class RuleItem(_Item):
    """A rule in force. `problem`: what keeps its pipeline from being used; `matches`: series of the last 7 days.

    Of a rule that forwards alone nobody counts `matches`.
    """

    name: str
    state: str
    condition: str
    does: str
    problem: str
    matches: int | None
    document: Document

    @classmethod
    def of(cls, now: RuleNow) -> Self:
        known = {"condition": now.condition, "does": now.does, "problem": now.problem, "matches": now.matches}
        return cls(name=now.rule.name, state=now.rule.state, document=now.rule.to_document(), **known)


class RulesNow(BaseModel):
    """The rules in force; revision 0: there are none yet."""

    revision: int
    rules: list[RuleItem]


class RevisionItem(_Item):
    """`origin`: import, publish or rollback. `replay_id`: the replay that was seen; `restores`: the revision again."""

    number: int
    created_at: datetime
    author: str
    comment: str
    origin: str
    replay_id: int | None
    restores: int | None


class RevisionDetail(RevisionItem):
    """With all destinations and rules."""

    document: Document

    @classmethod
    def of(cls, row: SiteRevision) -> Self:
        return cls.model_validate(row)


class DraftItem(BaseModel):
    """The draft. `stale`: another revision came in force under it. `why_not_yet`: what keeps it from going live."""

    version: int
    base: int
    in_force: int
    touched: bool
    stale: bool
    digest: str
    author: str
    changed_at: datetime | None
    why_not_yet: str
    document: Document
    yaml: str
    diff: Document

    @classmethod
    def of(cls, draft: Draft, why: str) -> Self:
        names = ("version", "base", "in_force", "touched", "stale", "digest", "author", "changed_at")
        known = {name: getattr(draft, name) for name in names}
        return cls(**known, why_not_yet=why, document=draft.document(), yaml=draft.yaml(), diff=draft.diff.to_json())


class DraftAsked(BaseModel):
    """A whole document in the draft's place, plain or as YAML text: exactly one of both."""

    version: Version
    document: Document | None = None
    yaml: Annotated[str, Field(max_length=1 << 20)] | None = None


class VersionAsked(BaseModel):
    """Which draft was read."""

    version: Version


class RebaseAsked(VersionAsked):
    """`prefer`: whose rule or destination is taken where both changed it; empty: the conflict is told."""

    prefer: Literal["", "draft", "in force"] = ""


class PublishAsked(VersionAsked):
    """The draft goes live."""

    comment: Comment = ""


class RollbackAsked(BaseModel):
    """An earlier revision goes live again."""

    number: Number
    comment: Comment = ""


class InForceItem(BaseModel):
    """A revision that was just put in force, and what it changed.

    `notes`: what is to be known beside, in words: destinations that a roll-back kept, rules whose pipeline is broken.
    """

    revision: int
    diff: Document
    notes: list[str]

    @classmethod
    def of(cls, done: InForce) -> Self:
        return cls(revision=done.number, diff=done.diff.to_json(), notes=list(done.notes))


class ReplayAsked(BaseModel):
    """What is tried: a document, or without one the draft; on the series of so many days."""

    days: Annotated[float, Field(gt=0, le=3660)] = 30
    document: Document | None = None


class ReplayItem(_Item):
    """A replay. `state`: running, done, stopped or failed, then `reason` says why; `done` of `total` series."""

    id: int
    state: str
    reason: str
    digest: str
    base: int
    since: datetime
    until: datetime
    total: int
    done: int
    changed: int
    result: Document
    author: str
    node: str
    started_at: datetime
    finished_at: datetime | None


class ChangeItem(BaseModel):
    """A series that would be treated otherwise by one rule.

    `kind` is gains, loses, other or shadow of an enhancement; more, fewer, elsewhere or unclear of originals that are
    forwarded.
    """

    id: int
    series_uid: str
    generation: int
    rule: str
    kind: str
    before: Document
    after: Document
