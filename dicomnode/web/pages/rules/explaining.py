"""Why a series was enhanced or not: each rule, each condition, the values that were seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.explain import Explained, Said, explain_series
from dicomnode.desk.rules.telling import shown_explanation
from dicomnode.domain.roles import Permission
from dicomnode.route.evaluate import Explanation
from dicomnode.web.access.gate import allow
from dicomnode.web.queue_fields import NO_NUL
from dicomnode.web.rendering import page
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/rules", include_in_schema=False)

Reader = Annotated[Person, allow(Permission.RULES)]


@dataclass(frozen=True)
class Shown:
    """One rule's answer."""

    name: str
    state: str
    matched: bool
    acts: bool
    sentence: str
    condition: Explanation


@router.get("/explain")
def explain(
    request: Request, flow: TheFlow, person: Reader, series: Annotated[str, Query(max_length=64, pattern=NO_NUL)] = ""
) -> Response:
    """By the revision in force, and by the draft where that says something else."""
    uid, problem = series.strip(), ""
    found: list[Explained] = []
    draft = read_draft(flow)
    if uid:
        try:
            found.append(explain_series(flow, uid))
            if draft.touched:
                found.append(explain_series(flow, uid, draft=True))
        except Refused as refused:
            problem = str(refused)
    found = [shown_explanation(flow, person, each) for each in found]
    return page(
        request,
        "rules/explain.html",
        person,
        404 if problem else 200,
        series=uid,
        problem=problem,
        answers=_answers(found),
        generation=found[0].generation if found else 0,
    )


def _answers(found: Sequence[Explained]) -> list[tuple[int | None, list[Shown], int]]:
    """Of each side its revision and rules; of the draft those alone that say something else, and how many do not."""
    sides = [(each.revision, [_shown(said) for said in each.rules]) for each in found]
    known = [shown for _, rules in sides[:1] for shown in rules]
    return [
        (revision, rules if not place else [each for each in rules if each not in known],
         sum(each in known for each in rules) if place else 0)
        for place, (revision, rules) in enumerate(sides)
    ]  # fmt: skip


def _shown(said: Said) -> Shown:
    answer, rule = said.answer, said.answer.rule
    follows = "; ".join(filter(None, (said.decided, said.forwards)))
    sentence = follows if answer.matched and follows else _sentence(answer.outcome, answer.reason)
    return Shown(rule.name, rule.state, answer.matched, said.acts, sentence, answer.explanation)


def _sentence(outcome: str, reason: str) -> str:
    """Why not comes first."""
    return f"{outcome}: {reason}"
