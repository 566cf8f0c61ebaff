"""What an operator stops and lets go on: jobs, or all enhancing. For every node that shares the database, at once."""

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.repositories import holds


def pause(session: Session, pipeline: str, actor: str, reason: str, node: str) -> bool:
    """Claim nothing more, of one pipeline or (empty) of any; what runs goes on. False: it was paused already."""
    if not holds.hold(session, holds.JOBS, pipeline, actor, reason):
        return False
    _note(session, "jobs.paused", f"{actor} paused {_jobs_of(pipeline)}", actor, reason, node, pipeline)
    return True


def resume(session: Session, pipeline: str, actor: str, node: str) -> bool:
    """Claim again. False: it was not paused."""
    if not holds.release(session, holds.JOBS, pipeline):
        return False
    _note(session, "jobs.resumed", f"{actor} resumed {_jobs_of(pipeline)}", actor, "", node, pipeline)
    return True


def stop_enhancing(session: Session, actor: str, reason: str, node: str) -> bool:
    """Originals alone flow: nothing is claimed, what runs is given back, derived series that wait are not sent.

    Series are completed and decided as ever, and deadlines count. False: it was stopped already.
    """
    if not holds.hold(session, holds.ENHANCING, "", actor, reason):
        return False
    _note(session, "enhancing.stopped", f"{actor} stopped enhancing: originals alone flow", actor, reason, node)
    return True


def start_enhancing(session: Session, actor: str, node: str) -> bool:
    """Enhance again. False: it was not stopped."""
    if not holds.release(session, holds.ENHANCING, ""):
        return False
    _note(session, "enhancing.started", f"{actor} let enhancing go on", actor, "", node)
    return True


def _jobs_of(pipeline: str) -> str:
    return f"jobs of {pipeline}" if pipeline else "all jobs"


def _note(session: Session, kind: str, message: str, actor: str, reason: str, node: str, pipeline: str = "") -> None:
    words = f"{message} ({reason})" if reason else message
    detail = {"reason": reason, "pipeline": pipeline} if pipeline else {"reason": reason}
    record(session, kind, words, node=node, actor=actor, detail=detail)
