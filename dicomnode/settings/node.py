"""Settings of the node itself: its name, database, store and log."""

import platform
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from dicomnode.settings.section import Section


class NodeSettings(Section):
    """Who this node is, among several on one database."""

    name: str = ""
    lease_seconds: float = Field(30.0, ge=1)
    """A node that gives no sign of life for so long is dead: others take over what it left."""

    @field_validator("name")
    @classmethod
    def _file_name(cls, name: str) -> str:
        name = name or re.sub(r"[^A-Za-z0-9-]", "-", platform.node()) or "node"
        if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", name):
            raise ValueError("letters, digits and hyphens only, at most 40")
        return name


class DatabaseSettings(Section):
    """Where the state lives. The times bound how long PostgreSQL is waited for; then the work is tried again."""

    url: str = "sqlite:///var/dicomnode.db"
    connect_timeout: float = Field(5.0, ge=1)
    statement_timeout: float = Field(60.0, ge=1)
    """Seconds for one statement, waiting for locks included."""


class StoreSettings(Section):
    """Where the bytes live. `max_backlog`: stored but not yet indexed instances before A700."""

    root: Path = Path("var/store")
    min_free_gb: float = Field(1.0, ge=0)
    max_backlog: int = Field(10_000, ge=1)
    retention_days: float = Field(0.0, ge=0)
    """Series that nothing happened to for so long are given up. 0: never. What cannot be undone is never a default."""
    keep_free_gb: float = Field(0.0, ge=0)
    """Below this much free space the oldest series go first, however young. 0: never."""

    @model_validator(mode="after")
    def _above_the_mark(self) -> Self:
        if 0 < self.keep_free_gb <= self.min_free_gb:
            raise ValueError("keep_free_gb must be above min_free_gb: below that nothing is received any more")
        return self


class LogSettings(Section):
    """Logging, on stderr."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
