"""The settings in force, for people to read: whatever could let somebody in is masked."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from dicomnode.settings import Settings

MASK = "••••"
_SECRET = re.compile(r"secret|password|passphrase|token|credential", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://[^/?#:@\s]*):[^/?#\s]*@", re.IGNORECASE)
_QUERY = re.compile(r"(?P<name>[?&][^=&#\s]*(?:secret|password|passphrase|token)[^=&#\s]*=)[^&#\s]+", re.IGNORECASE)


def settings_shown(settings: Settings) -> list[tuple[str, str]]:
    """Every setting under its name, such as `web.oidc.issuer`, with its value as text."""
    return list(_lines(settings.model_dump(), ""))


def masked(text: str) -> str:
    """Without the passwords that it holds as an address does: in `user:password@`, and in `?password=...`."""
    return _QUERY.sub(rf"\g<name>{MASK}", _USERINFO.sub(rf"\g<scheme>:{MASK}@", text))


def _lines(table: Mapping[Any, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from _lines(value, name)
        else:
            yield name, _shown(str(key), value)


def _shown(key: str, value: Any) -> str:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_shown(key, each) for each in value)
    text = "" if value is None or value == {} else masked(str(value))
    if text and _SECRET.search(key) and not isinstance(value, Path | bool | int | float):
        return MASK
    return text
