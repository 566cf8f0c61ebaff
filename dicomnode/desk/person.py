"""Who does something at the node."""

from dataclasses import dataclass
from typing import Literal

from dicomnode.domain.roles import Permission, permitted


@dataclass(frozen=True)
class Person:
    """Somebody who came in, or types commands. `name` is what the audit log calls them."""

    name: str
    roles: tuple[str, ...]
    via: Literal["session", "token", "command line"] = "session"
    account_id: int | None = None
    session: str | None = None
    """SHA-256 of the session's secret: the key of its row."""
    names_shown: bool = False
    """Whether patients' names are shown in this session; False as well where the roles do not permit it."""

    def may(self, permission: Permission) -> bool:
        """Whether the roles permit it; whoever types commands on the node's own machine may do everything."""
        return self.via == "command line" or permission in permitted(self.roles)
