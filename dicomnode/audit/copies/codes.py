"""Which kinds of event are which audit message of PS3.15 A.5.3. A kind that is not here has none, and is not copied."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Code:
    """A coded value: PS3.16's DCM unless it says otherwise."""

    value: str
    meaning: str
    system: str = "DCM"


Shape = Literal["application", "sign-in", "log", "received", "sent", "asked", "export", "accessed", "alert"]
"""Who takes part, and what it is about: the tables of A.5.3 differ in nothing else that this node says."""


@dataclass(frozen=True)
class Message:
    """EventID, EventActionCode, EventTypeCode, and the shape of the rest."""

    event: Code
    action: Literal["C", "R", "U", "D", "E"]
    shape: Shape
    type: Code | None = None


ACTIVITY = Code("110100", "Application Activity")
LOG_USED = Code("110101", "Audit Log Used")
ACCESSED = Code("110103", "DICOM Instances Accessed")
TRANSFERRED = Code("110104", "DICOM Instances Transferred")
EXPORT = Code("110106", "Export")
QUERY = Code("110112", "Query")
ALERT = Code("110113", "Security Alert")
AUTHENTICATION = Code("110114", "User Authentication")
LOGIN, LOGOUT = Code("110122", "Login"), Code("110123", "Logout")

APPLICATION = Code("110150", "Application")
DESTINATION, SOURCE = Code("110152", "Destination Role ID"), Code("110153", "Source Role ID")
MEDIA = Code("110154", "Destination Media")
URI_MEDIA = Code("110037", "URI")
STUDY, SOP_CLASS = Code("110180", "Study Instance UID"), Code("110181", "SOP Class UID")
NODE = Code("110182", "Node ID")
PATIENT = Code("2", "Patient Number", "RFC-3881")
URI = Code("12", "URI", "RFC-3881")


def _alerts(type: Code, *kinds: str) -> dict[str, Message]:
    return {kind: Message(ALERT, "E", "alert", type) for kind in kinds}


MESSAGES: Mapping[str, Message] = {
    "node.started": Message(ACTIVITY, "E", "application", Code("110120", "Application Start")),
    "node.stopped": Message(ACTIVITY, "E", "application", Code("110121", "Application Stop")),
    "session.began": Message(AUTHENTICATION, "E", "sign-in", LOGIN),
    "session.refused": Message(AUTHENTICATION, "E", "sign-in", LOGIN),
    "session.ended": Message(AUTHENTICATION, "E", "sign-in", LOGOUT),
    "audit.viewed": Message(LOG_USED, "R", "log"),
    "audit.exported": Message(LOG_USED, "R", "log"),
    "audit.verified": Message(LOG_USED, "R", "log"),
    "series.complete": Message(TRANSFERRED, "C", "received"),
    "delivery.sent": Message(TRANSFERRED, "R", "sent"),
    "delivery.failed": Message(TRANSFERRED, "R", "sent"),
    "delivery.verified": Message(QUERY, "E", "asked"),
    "series.exported": Message(EXPORT, "R", "export"),
    "series.purged": Message(ACCESSED, "D", "accessed"),
    "series.rejected": Message(ACCESSED, "U", "accessed"),
    "patient.viewed": Message(ACCESSED, "R", "accessed"),
    "image.viewed": Message(ACCESSED, "R", "accessed"),
    **_alerts(Code("110126", "Node Authentication"), "association.rejected", "association.alert", "connection.dropped"),
    **_alerts(Code("110128", "Network Configuration"), "site.imported", "site.published", "site.rolled_back"),
    **_alerts(Code("110129", "Security Configuration"), "settings.changed"),
    **_alerts(Code("110131", "Software Configuration"), "model.imported", "enhancing.stopped", "enhancing.started"),
    **_alerts(Code("110132", "Use of Restricted Function"), "patient.names_shown"),
    **_alerts(Code("110135", "Object Security Attributes Changed"), "audit.contradicted"),
    **_alerts(Code("110136", "Security Roles Changed"), "account.roles"),
    **_alerts(
        Code("110137", "User Security Attributes Changed"),
        *("account.added", "account.disabled", "account.enabled", "account.password", "account.locked"),
        *("token.made", "token.revoked"),
    ),
}
