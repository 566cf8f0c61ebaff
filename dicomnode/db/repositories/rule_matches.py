"""How often rules matched of late. Ids of decisions rise with time, so a period begins where halving finds it."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicomnode.db.models import RuleDecision


def matches_since(session: Session, rules: Collection[str], since: datetime) -> dict[tuple[str, str], int]:
    """(rule, state it had then) to the number of series generations that fitted it, decided since then."""
    row = RuleDecision
    query = (
        select(row.rule, row.rule_state, func.count())
        .where(row.rule.in_(rules), row.rule_state.in_(("live", "shadow", "draft")), row.matched.is_(True))
        .where(row.id >= _first_since(session, since))
        .group_by(row.rule, row.rule_state)
    )
    return {(rule, state): count for rule, state, count in session.execute(query)}


def _first_since(session: Session, since: datetime) -> int:
    """The first id that was decided since then; one beyond the last if none was."""
    low, high = (session.scalar(select(edge)) or 0 for edge in (func.min(RuleDecision.id), func.max(RuleDecision.id)))
    high += 1
    while low < high:
        middle = (low + high) // 2
        query = select(RuleDecision.id, RuleDecision.decided_at).where(RuleDecision.id >= middle)
        found = session.execute(query.order_by(RuleDecision.id).limit(1)).first()
        if found is None or found.decided_at >= since:
            high = middle
        else:
            low = found.id + 1
    return low
