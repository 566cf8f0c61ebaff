"""The node's start in the audit log: by which settings, and which of them are others than the last time."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import time
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import AuditEvent
from dicomnode.settings import Settings

_LOOKED_BACK = 50
"""Starts, of all nodes, among which this node's last one is looked for."""


def note_start(session: Session, settings: Settings, message: str, version: str) -> None:
    """Record `node.started` with the settings in its detail, and `settings.changed` if they changed since the last."""
    node, now = settings.node.name, noted(settings)
    before = _last(session, node)
    if before is not None and (changes := _changes(before, now)):
        words = f"{len(changes)} settings of {node} are others than at its last start: {', '.join(changes)}"
        record(session, "settings.changed", words, node=node, detail={"changes": changes})
    record(session, "node.started", message, node=node, detail={"version": version, "settings": now})


def noted(settings: Settings) -> dict[str, Any]:
    """All settings by their dotted names. Of secrets a slow hash, which shows that one changed, not what to."""
    found = dict(_flat("", settings.model_dump(), settings.node.name))
    url = make_url(settings.database.url)
    found["database.url"] = url.render_as_string(hide_password=True)
    if url.password:
        found["database.password"] = _hashed(url.password, settings.node.name)
    return found


def _flat(prefix: str, value: Any, salt: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), each, salt)
    elif isinstance(value, SecretStr):
        yield prefix, _hashed(value.get_secret_value(), salt) if value.get_secret_value() else ""
    else:
        yield prefix, _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        listed = [_plain(each) for each in value]
        return sorted(listed, key=str) if isinstance(value, set | frozenset) else listed
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path | time) else value if _is_json(value) else str(value)


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _hashed(secret: str, salt: str) -> str:
    """Eight digits of a slow hash: enough to see a change, too little to be sure of a guess."""
    return "hash " + hashlib.scrypt(secret.encode(), salt=salt.encode(), n=2**14, r=8, p=1).hex()[:8]


def _last(session: Session, node: str) -> dict[str, Any] | None:
    """The settings that this node noted when it last started; None before the first time."""
    query = select(AuditEvent).where(AuditEvent.kind == "node.started")
    for event in session.scalars(query.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(_LOOKED_BACK)):
        if event.node == node:
            settings: dict[str, Any] | None = event.detail.get("settings")
            return settings
    return None


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return {name: {"from": before.get(name), "to": now.get(name)} for name in names}
