"""An event as an audit message: the XML of PS3.15 A.5.1, filled as A.5.2 and the tables of A.5.3 say."""

import base64
import json
import re
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from dicomnode.audit.copies.codes import (
    APPLICATION,
    DESTINATION,
    MEDIA,
    MESSAGES,
    NODE,
    PATIENT,
    SOP_CLASS,
    SOURCE,
    STUDY,
    URI,
    URI_MEDIA,
    Code,
    Message,
)
from dicomnode.db.models import AuditEvent

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_OUTCOMES = {"success": "0", "warning": "4", "failure": "8"}
"""EventOutcomeIndicator: success, minor and serious failure."""
_OF_A_STUDY = frozenset({"received", "sent", "asked", "export", "accessed"})
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HOST, _ADDRESS = "1", "2"
"""NetworkAccessPointTypeCode: a machine's name, an IP address."""


@dataclass(frozen=True)
class Known:
    """What the index knows of the series that an event is about; empty where it does not."""

    study_uid: str = ""
    patient_id: str = ""
    calling_aet: str = ""


def audit_message(event: AuditEvent, known: Known, ae_title: str) -> bytes | None:
    """The message, in UTF-8; None where A.5.3 has none for it, or it would lack what is mandatory."""
    message = MESSAGES.get(event.kind)
    if message is None:
        return None
    study = event.study_uid or known.study_uid
    if message.shape in _OF_A_STUDY and not study:
        return None
    root = Xml.Element("AuditMessage")
    _identification(root, event, message)
    _Participants(root, event, known, ae_title).add(message.shape)
    Xml.SubElement(root, "AuditSourceIdentification", AuditSourceID=event.node)
    _objects(root, event, message, study, known.patient_id)
    document: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _identification(root: Xml.Element, event: AuditEvent, message: Message) -> None:
    identification = Xml.SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=event.at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=_OUTCOMES.get(event.outcome, "8"),
    )
    _code(identification, "EventID", message.event)
    if message.type is not None:
        _code(identification, "EventTypeCode", message.type)
    if event.outcome != "success":
        Xml.SubElement(identification, "EventOutcomeDescription").text = _text(event.message)


class _Participants:
    """ActiveParticipant elements."""

    def __init__(self, root: Xml.Element, event: AuditEvent, known: Known, ae_title: str) -> None:
        self._root, self._event, self._known, self._ae_title = root, event, known, ae_title
        self._peer = str(event.detail.get("peer") or event.detail.get("address") or "")

    def add(self, shape: str) -> None:
        """Those of a shape, in the order of its table."""
        event, of_a_person = self._event, self._event.actor != "node"
        if shape == "application":
            self._one(event.node, False, APPLICATION)
        elif shape == "sign-in":
            who = event.subject or event.actor
            point = self._peer or event.node
            self._one(who, True, None, point=(point, _ADDRESS if self._peer else _HOST))
        elif shape in ("received", "sent", "asked"):
            destination = str(event.detail.get("destination") or event.detail.get("aet") or "destination")
            self._one(self._known.calling_aet if shape == "received" else self._ae_title, shape != "received", SOURCE)
            self._one(self._ae_title if shape == "received" else destination, False, DESTINATION)
        elif shape == "export":
            self._one(event.actor, True, SOURCE)
            media = self._one(f"file://{event.node}", False, MEDIA)
            _code(Xml.SubElement(media, "MediaIdentifier"), "MediaType", URI_MEDIA)
        else:
            self._one(event.actor if of_a_person else event.node, True, None)
            if of_a_person:
                self._one(event.node, False, APPLICATION)
            elif self._peer:
                self._one(self._peer, False, None, point=(self._peer, _ADDRESS))

    def _one(self, user: str, asked: bool, role: Code | None, point: tuple[str, str] | None = None) -> Xml.Element:
        made = Xml.SubElement(
            self._root,
            "ActiveParticipant",
            UserID=_text(user) or "unknown",
            UserIsRequestor="true" if asked else "false",
        )
        if point is not None:
            made.set("NetworkAccessPointID", _text(point[0]))
            made.set("NetworkAccessPointTypeCode", point[1])
        if role is not None:
            _code(made, "RoleIDCode", role)
        return made


def _objects(root: Xml.Element, event: AuditEvent, message: Message, study: str, patient: str) -> None:
    if message.shape == "log":
        _object(root, f"dicomnode://{event.node}/audit", "2", "13", URI, name="Security Audit Log")
    elif message.shape == "alert":
        alert = _object(root, event.subject or event.node, "2", None, NODE, name=event.kind)
        value = base64.b64encode(event.message.encode()).decode()
        Xml.SubElement(alert, "ParticipantObjectDetail", type="Alert Description", value=value)
    elif message.shape == "asked":
        query = json.dumps({"StudyInstanceUID": study, "SeriesInstanceUID": event.series_uid or ""})
        _object(root, STUDY_ROOT_FIND, "2", "3", SOP_CLASS, query=query)
    elif message.shape in _OF_A_STUDY:
        _object(root, study, "2", "3", STUDY, name=event.series_uid or study)
        _object(root, patient or "unknown", "1", "1", PATIENT, name=patient or "unknown")


def _object(
    root: Xml.Element, id: str, type: str, role: str | None, id_type: Code, name: str = "", query: str = ""
) -> Xml.Element:
    made = Xml.SubElement(
        root, "ParticipantObjectIdentification", ParticipantObjectID=_text(id), ParticipantObjectTypeCode=type
    )
    if role is not None:
        made.set("ParticipantObjectTypeCodeRole", role)
    _code(made, "ParticipantObjectIDTypeCode", id_type)
    if query:
        Xml.SubElement(made, "ParticipantObjectQuery").text = base64.b64encode(query.encode()).decode()
    else:
        Xml.SubElement(made, "ParticipantObjectName").text = _text(name)
    return made


def _code(parent: Xml.Element, name: str, code: Code) -> None:
    found = {"csd-code": code.value, "codeSystemName": code.system, "originalText": code.meaning}
    Xml.SubElement(parent, name, found)


def _text(text: str) -> str:
    """Without characters that XML 1.0 has no place for: peers send their titles and names."""
    return _NO_XML.sub(" ", text)
