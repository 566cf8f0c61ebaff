"""Settings of the audit log: how often it is sealed, and where its anchors lie."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from dicomnode.settings.section import Section

FOLDER = "audit-anchors"


class AuditSettings(Section):
    """The audit log. Events are sealed into the chain every `seal_seconds`."""

    seal_seconds: float = Field(1.0, gt=0)
    anchors: Path | Literal[""] | None = None
    """Folder in which each node notes how far the chain has come; by default beside the store, "" for none.

    Anchors prove what the database alone cannot: that the log's end was not cut off, and that nobody sealed it anew.
    They are worth as much as it is hard for whoever writes the database to write them.
    """
    anchor_seconds: float = Field(60.0, gt=0)
    syslog: Literal[""] = ""
    """Where events are copied to; not in this version."""

    def folder(self, store: Path) -> Path | None:
        """The anchors' folder of a node with this store; None where there are to be none."""
        if self.anchors is None:
            return store.parent / FOLDER
        return self.anchors or None
