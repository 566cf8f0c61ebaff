"""More work than can be done in time: the rule says what gives (`on_overload`). Receiving never depends on it."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from dicomnode.db.repositories import enhancements, nodes
from dicomnode.domain.priority import SHADOW_PRIORITY
from dicomnode.domain.site import Rule
from dicomnode.flow.context import Flow
from dicomnode.jobs.waiting import shut
from dicomnode.jobs.work import Work


def overload(flow: Flow, session: Session, rule: Rule, work: Work) -> str:
    """Why this work should be left at the originals, in words for an administrator; empty if it should be done.

    Work that the ledger knows already is never turned away: what it costs is spent, or planned by another rule. That a
    shadow rule asks for it is no reason: it would only be measured.
    """
    if rule.on_overload != "originals" or _is_known(session, work):
        return ""
    devices = _device_count(flow, session)
    ahead = enhancements.ahead(session, work.priority, work.recipe.pipeline, _shut(flow))
    waiting, most = sum(count for state, _, count in ahead if state == "ready"), flow.settings.engine.max_backlog
    if waiting >= most * devices:
        return f"{waiting} jobs wait for {_devices(devices)}: engine.max_backlog is {most} for each"
    if rule.deadline_minutes is None:
        return ""
    took = enhancements.seconds_of_recent(session)
    usual = sum(took.values()) / len(took) if took else 0.0
    seconds = sum(count * took.get(pipeline, usual) for _, pipeline, count in ahead) / devices
    minutes = (seconds + took.get(work.recipe.pipeline, usual)) / 60
    if minutes <= rule.deadline_minutes:
        return ""
    return f"it would be done in about {minutes:.1f} min, after its deadline of {rule.deadline_minutes:g} min"


def _is_known(session: Session, work: Work) -> bool:
    priority = enhancements.priority_of(session, work.key)
    return priority is not None and (work.is_shadow or priority < SHADOW_PRIORITY)


def _shut(flow: Flow) -> int:
    return shut(flow.settings.engine.off_peak_hours, datetime.now(UTC))


def _device_count(flow: Flow, session: Session) -> int:
    """Of all nodes that live, taking each to have as many as this one."""
    living = len(nodes.living(session, flow.settings.node.lease_seconds))
    return max(1, living) * max(1, flow.settings.engine.device_count)


def _devices(count: int) -> str:
    return "one device" if count == 1 else f"{count} devices"
