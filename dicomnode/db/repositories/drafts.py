"""The draft of the next revision: one row, and a version that never goes back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dicomnode.db.models import SiteDraft

_ONLY = 1


def find(session: Session, *, lock: bool = False) -> SiteDraft | None:
    """The draft, if anybody ever began one. `lock`: nobody else changes it until this transaction ends."""
    query = select(SiteDraft).where(SiteDraft.id == _ONLY).execution_options(populate_existing=True)
    return session.scalar(query.with_for_update() if lock else query)


def save(
    session: Session, version: int, *, base: int, document: Mapping[str, Any], digest: str, author: str, at: datetime
) -> bool:
    """Put this document in the place of version `version` (0: there is none yet). False: it is another version now."""
    values = {"base": base, "document": dict(document), "digest": digest, "author": author, "changed_at": at}
    values["version"] = version + 1
    if version == 0:
        insert_into = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert
        statement = insert_into(SiteDraft).values(id=_ONLY, **values).on_conflict_do_nothing()
        return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]
    query = update(SiteDraft).where(SiteDraft.id == _ONLY, SiteDraft.version == version)
    return bool(session.execute(query.values(values)).rowcount)  # type: ignore[attr-defined]
