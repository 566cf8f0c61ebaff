"""complete -> route: a generation, its facts, what the rules decide, the work that follows; all of it or nothing."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.complete.schedule import is_due
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement, RuleDecision, Series
from dicomnode.db.repositories import instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.priority import PRIORITIES, SHADOW_PRIORITY
from dicomnode.domain.site import Rule
from dicomnode.flow.completing.circumstances import circumstances_of
from dicomnode.flow.completing.deciding import Circumstances, Deciding
from dicomnode.flow.completing.gathering import Gathered
from dicomnode.flow.completing.overload import overload
from dicomnode.flow.completing.put_off import reason_of
from dicomnode.flow.context import Flow
from dicomnode.flow.delivering.outputs import plan_outputs
from dicomnode.jobs.work import Work, enter
from dicomnode.observe import COMPLETED, log
from dicomnode.route.rules import RuleExplanation, explain_rules


def complete_due(flow: Flow, gathered: Gathered | None = None) -> int:
    """Complete every series whose time has come. Returns how many. One transaction each; safe to run twice at once.

    A series that fails does not hold the others up: it is put off and told of, and comes after them. An error of the
    database that says nothing of a series is raised when all have been tried. `gathered` has the facts of some of them
    already.
    """
    with flow.database.read() as session:
        now = database_now(session)
        rows = (row for row in series_rows.due(session, now) if not flow.put_off.waits(row))
        due = [(row, ground) for row in rows if (ground := is_due(session, row, now))]
    completed, failures = 0, []
    for row, ground in sorted(due, key=lambda each: flow.put_off.times(each[0])):
        try:
            completed += _complete(flow, row, ground.reason, gathered or Gathered(flow))
        except Exception as error:
            if why := reason_of(error):
                _put_off(flow, row, why)
            else:
                failures.append(error)
        else:
            flow.put_off.completed(row)
    if failures:
        raise failures[0]
    return completed


def _put_off(flow: Flow, series: Series, why: str) -> None:
    """Told of when it fails for the first time: it will fail again, and what fails every few minutes hides the rest."""
    if not flow.put_off.times(series):
        log.error("a series cannot be completed", series_uid=series.uid, error=why)
        with flow.database.write() as session:
            record(
                session,
                "series.put_off",
                f"it is due, but completing it fails ({why}): tried again ever more seldom",
                node=flow.node,
                outcome="failure",
                study_uid=series.study_uid,
                series_uid=series.uid,
                detail={"reason": why},
            )
    flow.put_off.failed(series)


def _complete(flow: Flow, seen: Series, reason: str, gathered: Gathered) -> bool:
    """Headers are read before the transaction; an instance that arrives meanwhile makes the update a no-op."""
    with flow.database.read() as session:
        rows = instances.of_series(session, seen.uid)
    facts = gathered.take(rows, seen)
    with flow.database.write() as session:
        series_rows.lock(session, [seen.uid])  # what another node's index is taking in just now is counted, or waits
        now = database_now(session)
        if instances.count(session, seen.uid) != len(rows):
            return False
        generation = series_rows.complete(session, seen.uid, seen.last_arrival_at, now)
        if generation is None:
            return False
        instances.join_generation(session, (row.sop_uid for row in rows), generation)
        around = circumstances_of(session, seen)
        series_rows.add_facts(
            session, seen.uid, generation, facts, around.to_json(), reason=reason, count=len(rows), at=now
        )
        record(
            session,
            "series.complete",
            f"generation {generation} with {len(rows)} instances is complete: {reason}",
            node=flow.node,
            study_uid=seen.study_uid,
            series_uid=seen.uid,
            detail={"generation": generation, "instances": len(rows), "reason": reason, **_left_out(facts)},
        )
        _route(flow, session, seen, generation, facts, around, now)
    COMPLETED.inc()
    return True


def _left_out(facts: SeriesFacts) -> dict[str, int]:
    count = sum(attribute.left_out for attribute in facts.attributes.values())
    return {"elements_left_out": count} if count else {}


def _route(
    flow: Flow,
    session: Session,
    series: Series,
    generation: int,
    facts: SeriesFacts,
    circumstances: Circumstances,
    now: datetime,
) -> None:
    """Ask every rule, shadows last; all live ones that match act, and equal work is shared. What each said is kept."""
    revision, site = flow.site.get(session)
    deciding = Deciding(facts, circumstances, flow.registry)
    outcomes: dict[str, str] = {}
    for answer in sorted(explain_rules(site, facts), key=lambda answer: answer.rule.state == "shadow"):
        if answer.rule.enhance is None or answer.rule.state == "draft":
            continue
        decided = deciding.decide(answer)
        outcome = decided.outcome
        work = _work(flow, series, generation, answer.rule, now) if decided.acts else None
        if work is not None and (why := overload(flow, session, answer.rule, work)):
            outcome, work = f"matches, but overloaded: originals only, because {why}", None
        row = enter(session, work, flow.node, now) if work else None
        outcomes[answer.rule.name] = outcome
        session.add(_decision(series, generation, revision, answer, outcome, row, now))
        session.flush()
        if row is not None and row.state == "done":
            plan_outputs(flow, session, row, now)
    record(
        session,
        "rule.decided",
        "; ".join(f"{rule}: {outcome}" for rule, outcome in outcomes.items()) or "no rule enhances series",
        node=flow.node,
        study_uid=series.study_uid,
        series_uid=series.uid,
        detail={"generation": generation, "revision": revision, "outcomes": outcomes},
    )


def _work(flow: Flow, series: Series, generation: int, rule: Rule, now: datetime) -> Work:
    """What the rule asks for. Its deadline counts from now, when the generation is complete."""
    assert rule.enhance is not None
    pipeline = flow.registry.usable(rule.enhance.pipeline).pipeline
    return Work(
        series_uid=series.uid,
        generation=generation,
        recipe=flow.registry.recipe(rule.enhance.pipeline, rule.enhance.params, rule.writer),
        per_generation=pipeline is not None and pipeline.scope == "volume",
        priority=SHADOW_PRIORITY if rule.state == "shadow" else PRIORITIES[rule.priority],
        deadline_at=now + timedelta(minutes=rule.deadline_minutes) if rule.deadline_minutes else None,
    )


def _decision(
    series: Series,
    generation: int,
    revision: int,
    answer: RuleExplanation,
    outcome: str,
    row: Enhancement | None,
    now: datetime,
) -> RuleDecision:
    return RuleDecision(
        series_uid=series.uid,
        generation=generation,
        revision=revision,
        rule=answer.rule.name,
        rule_state=answer.rule.state,
        matched=answer.matched,
        outcome=outcome,
        enhancement_id=row.id if row else None,
        deliver_to=list(answer.rule.deliver_to) if row else [],
        explanation=answer.to_json(),
        decided_at=now,
    )
