"""Members that cannot be taken in: told of, left where they lie, and found again."""

from pathlib import Path

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.refusal import refused
from dicomnode.db.repositories.containers import Moved
from dicomnode.db.repositories.set_aside import SET_ASIDE, TAKEN_IN, WRITTEN_OFF, SetAside
from dicomnode.observe import wordless
from dicomnode.store.members import EventMember, InstanceMember, Member, members

_OF_THE_MACHINE = (SQLAlchemyError, OSError, MemoryError, Moved)
"""Errors that say nothing of a member: tried again, it may go through."""


def reason_of(error: Exception) -> str:
    """Why a member can never be taken in; empty where another attempt may do it.

    The database refuses a value, or code stumbles over what is in the member. A constraint that is violated after
    every attempt is of the member, too: rows that another node was writing just then would have been found.
    """
    if isinstance(error, IntegrityError):
        return type(error.orig).__name__
    reason = refused(error)
    if reason or isinstance(error, _OF_THE_MACHINE) or type(error) is RuntimeError:  # Python's for threads and pools
        return reason
    return wordless(error)


def set_aside(session: Session, node: str, aside: SetAside, member: Member) -> None:
    """The index goes on behind this member; until it is taken in, the audit log is what knows of it."""
    _record(session, SET_ASIDE, f"a stored {aside.what} cannot be indexed ({aside.reason})", node, aside, member)


def taken_in(session: Session, node: str, aside: SetAside, member: Member) -> None:
    """It is in the index now."""
    _record(session, TAKEN_IN, f"a stored {aside.what} that was set aside is in the index", node, aside, member)


def written_off(session: Session, node: str, aside: SetAside) -> None:
    """Its bytes are gone: it will never be in the index."""
    message = f"a stored {aside.what} that was set aside is gone with its container"
    _record(session, WRITTEN_OFF, message, node, aside, None, actor="doctor")


def described(member: Member) -> str:
    """What a member is called."""
    return "instance" if isinstance(member, InstanceMember) else "event"


def find(root: Path, aside: SetAside) -> InstanceMember | EventMember | None:
    """The member, read again; None where its container is not there, or its bytes are not what they were."""
    try:
        member = next(members(root, aside.container, aside.offset), None)
    except FileNotFoundError:
        return None
    return member if isinstance(member, InstanceMember | EventMember) else None


def _record(
    session: Session, kind: str, message: str, node: str, aside: SetAside, member: Member | None, actor: str = "node"
) -> None:
    receipt = member.receipt if isinstance(member, InstanceMember) else None
    record(
        session,
        kind,
        message,
        node=node,
        actor=actor,
        outcome="success" if kind == TAKEN_IN else "failure",
        study_uid=receipt.study_uid if receipt else None,
        series_uid=receipt.series_uid if receipt else None,
        subject=aside.subject,
        detail={
            "container": aside.container,
            "offset": aside.offset,
            "member": aside.what,
            "reason": aside.reason,
        },
    )
