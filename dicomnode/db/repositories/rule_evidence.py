"""What became of the series that a rule chose, as the ledger and the decisions tell it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from dicomnode.db.models import Enhancement, RuleDecision, SeriesFactsRow

_ROW = RuleDecision


def _of(rule: str, state: str, first_revision: int, *, matched: bool = True) -> Any:
    ours = (_ROW.rule == rule) & (_ROW.rule_state == state) & (_ROW.revision >= first_revision)
    return ours & (_ROW.matched.is_(matched))


def count(session: Session, rule: str, state: str, first_revision: int, *, matched: bool) -> int:
    """Of how many generations the rule said that they match, or do not."""
    query = select(func.count()).select_from(_ROW).where(_of(rule, state, first_revision, matched=matched))
    return session.scalar(query) or 0


def refusals(session: Session, rule: str, state: str, first_revision: int) -> dict[str, int]:
    """Matches that led to no work, by what was said."""
    query = select(_ROW.outcome, func.count()).where(_of(rule, state, first_revision), _ROW.enhancement_id.is_(None))
    return dict(session.execute(query.group_by(_ROW.outcome)).all())


def jobs(session: Session, rule: str, state: str, first_revision: int) -> Sequence[Row[str, str, int]]:
    """(state, verdict, number) of the work that the rule asked for; work of several generations counts once."""
    number = func.count(Enhancement.id.distinct())
    query = select(Enhancement.state, Enhancement.verdict, number).join(_ROW, _ROW.enhancement_id == Enhancement.id)
    of_it = query.where(_of(rule, state, first_revision))
    return session.execute(of_it.group_by(Enhancement.state, Enhancement.verdict)).all()


def reasons(session: Session, rule: str, state: str, first_revision: int) -> dict[tuple[str, str], int]:
    """(state, why) to the number of jobs that ended without a result to send, or are no longer valid."""
    number = func.count(Enhancement.id.distinct())
    query = select(Enhancement.state, Enhancement.reason, number).join(_ROW, _ROW.enhancement_id == Enhancement.id)
    ended = query.where(_of(rule, state, first_revision), Enhancement.state.not_in(("ready", "running", "done")))
    rows = session.execute(ended.group_by(Enhancement.state, Enhancement.reason)).all()
    return {(ended_as, why): count for ended_as, why, count in rows if why}


def newest_results(
    session: Session, rule: str, state: str, first_revision: int, limit: int
) -> Sequence[Row[list[Any], dict[str, Any]]]:
    """Guard figures and what the run cost, of the newest work that came to a result."""
    ids = select(_ROW.enhancement_id).where(_of(rule, state, first_revision), _ROW.enhancement_id.is_not(None))
    query = select(Enhancement.figures, Enhancement.measured).where(Enhancement.id.in_(ids), Enhancement.verdict != "")
    return session.execute(query.order_by(Enhancement.id.desc()).limit(limit)).all()


def newest_facts(session: Session, limit: int) -> Sequence[dict[str, Any]]:
    """Facts of the generations that were completed last."""
    query = select(SeriesFactsRow.facts).order_by(SeriesFactsRow.completed_at.desc(), SeriesFactsRow.series_uid.desc())
    return session.scalars(query.limit(limit)).all()
