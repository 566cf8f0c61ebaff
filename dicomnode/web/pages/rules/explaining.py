"""Why a series was enhanced or not: each rule, each condition, the values that were seen."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dicomnode.desk import patients
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.explain import Explained, Said, explain_series
from dicomnode.desk.rules.hiding import asks_of_patient, shown_to
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
    """One rule's answer, as this person may read it."""

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
    if patients.sees(person) and any(asks_of_patient(said.answer.rule.when) for each in found for said in each.rules):
        patients.viewed(flow, person, "the explanation of a series", series_uid=uid)
    answers = [(each.revision, [_shown(person, said) for said in each.rules]) for each in found]
    return page(
        request,
        "rules/explain.html",
        person,
        404 if problem else 200,
        series=uid,
        problem=problem,
        answers=answers,
        generation=found[0].generation if found else 0,
    )


def _shown(person: Person, said: Said) -> Shown:
    answer = shown_to(person, said.answer)
    rule = answer.rule
    sentence = said.decided if answer.matched and said.decided else _sentence(answer.outcome, answer.reason)
    return Shown(rule.name, rule.state, answer.matched, said.acts, sentence, answer.explanation)


def _sentence(outcome: str, reason: str) -> str:
    """Why not comes first."""
    return f"{outcome}: {reason}"
