"""Settings of the audit log: how often it is sealed, and where its anchors lie."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from dicomnode.settings.section import Section

FOLDER = "audit-anchors"
IDENTITY = "audit"
"""Of the TLS identities, the one that the collector is connected to with."""


class AuditSettings(Section):
    """The audit log. Events are sealed into the chain every `seal_seconds`."""

    seal_seconds: float = Field(1.0, gt=0)
    anchors: Path | Literal[""] | None = None
    """Folder in which each node notes how far the chain has come; by default beside the store, "" for none.

    Anchors prove what the database alone cannot: that the log's end was not cut off, and that nobody sealed it anew.
    They are worth as much as it is hard for whoever writes the database to write them.
    """
    anchor_seconds: float = Field(60.0, gt=0)
    syslog: str = ""
    """Where events are copied to as audit messages (PS3.15 A.5): `tls://host:6514` with `[tls.audit]`, or `tcp://` to a
    relay on this machine: what is copied names patients by their numbers. Empty: nowhere.
    """

    @field_validator("syslog")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)
        if parts.scheme not in ("tls", "tcp") or not parts.hostname or not parts.port or parts.path or parts.query:
            raise ValueError(f"{url!r} is no address such as tls://collector.example:6514")
        if parts.scheme == "tcp" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("what is copied names patients: without TLS it goes to this machine alone")
        return url

    def folder(self, store: Path) -> Path | None:
        """The anchors' folder of a node with this store; None where there are to be none."""
        if self.anchors is None:
            return store.parent / FOLDER
        return self.anchors or None
