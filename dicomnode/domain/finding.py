"""What a check-up found: data, so that a person reads one line and a program decides."""

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """Whether somebody has to do something."""

    INFO = "info"
    """Good to know; nothing is wrong."""
    WARNING = "warning"
    """Advice: the node works, but not as it should be run."""
    ERROR = "error"
    """Something is wrong. The check-up has not passed while one is left."""


@dataclass(frozen=True)
class Finding:
    """One finding. `subject` names what it is about, as audit events do; `way_out` says what can be done."""

    kind: str
    subject: str
    severity: Severity
    message: str
    way_out: str = ""
    repaired: bool = False
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether it keeps the check-up from passing."""
        return self.severity is Severity.ERROR and not self.repaired

    def mended(self) -> "Finding":
        """The same, repaired."""
        return replace(self, repaired=True)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
