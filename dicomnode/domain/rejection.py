"""Rejection notes: what their titles mean (IHE Radiology, Imaging Object Change Management; PS3.16 CID 7010)."""

from dataclasses import dataclass

QUALITY, SAFETY, WORKLIST, RETENTION = "113001", "113037", "113038", "113039"

TITLES = {
    QUALITY: "Rejected for Quality Reasons",
    SAFETY: "Rejected for Patient Safety Reasons",
    WORKLIST: "Incorrect Modality Worklist Entry",
    RETENTION: "Data Retention Policy Expired",
}
"""Code meaning of each title (scheme DCM) that makes a Key Object Selection document a rejection note."""


@dataclass(frozen=True)
class Ground:
    """Why what was derived from a series is outdated: the title that a note of it has, and words."""

    code: str
    reason: str


CONTRADICTED = {
    "correction": Ground(WORKLIST, "an instance of its source came again as a correction"),
    "conflict": Ground(QUALITY, "an instance of its source came again as a conflict"),
}
"""By what a known instance came again as (`store.versions`)."""


def rejected(code: str, count: int, by: str) -> Ground:
    """Instances of the source were rejected under this title."""
    return Ground(code, f"{by} rejected {count} instances of its source: {TITLES[code]}")


def refused(code: str, count: int, by: str) -> Ground:
    """Derived instances themselves were rejected under this title."""
    return Ground(code, f"{by} rejected {count} of the derived instances: {TITLES[code]}")


def withdrawn(count: int, by: str) -> Ground:
    """Instances of the source are not to be had any more, where they came from or went to."""
    return Ground(QUALITY, f"{by} says that {count} instances of its source are no longer available")
