"""The schema of audit messages (PS3.15 A.5.1) as a check: elements and their order, attributes, values."""

import base64
from datetime import datetime
from xml.etree import ElementTree as Xml

CODE = {"csd-code", "codeSystemName", "originalText"}
PARTICIPANT = {"UserID", "UserIsRequestor"}
ACCESS_POINT = {"NetworkAccessPointID", "NetworkAccessPointTypeCode"}
OBJECT = {"ParticipantObjectID", "ParticipantObjectTypeCode"}


def check(text: bytes) -> Xml.Element:
    """The message; AssertionError where the schema is broken."""
    root = Xml.fromstring(text)
    assert (root.tag, root.attrib) == ("AuditMessage", {})
    tags = [child.tag for child in root]
    order = ["EventIdentification", "ActiveParticipant", "AuditSourceIdentification", "ParticipantObjectIdentification"]
    assert tags == sorted(tags, key=order.index)
    assert tags.count("EventIdentification") == tags.count("AuditSourceIdentification") == 1
    assert tags.count("ActiveParticipant") >= 1
    for child in root:
        {
            "EventIdentification": _event,
            "ActiveParticipant": _participant,
            "AuditSourceIdentification": _source,
            "ParticipantObjectIdentification": _object,
        }[child.tag](child)
    return root


def _coded(element: Xml.Element) -> None:
    assert set(element.attrib) - {"displayName"} == CODE
    assert all(element.attrib.values())


def _event(element: Xml.Element) -> None:
    assert set(element.attrib) == {"EventActionCode", "EventDateTime", "EventOutcomeIndicator"}
    assert element.attrib["EventActionCode"] in "CRUDE"
    assert element.attrib["EventOutcomeIndicator"] in {"0", "4", "8", "12"}
    assert datetime.fromisoformat(element.attrib["EventDateTime"]).tzinfo is not None
    tags = [child.tag for child in element]
    order = ["EventID", "EventTypeCode", "EventOutcomeDescription"]
    assert tags == sorted(tags, key=order.index)
    assert tags.count("EventID") == 1
    for child in element:
        if child.tag != "EventOutcomeDescription":
            _coded(child)


def _participant(element: Xml.Element) -> None:
    assert set(element.attrib) >= PARTICIPANT
    assert set(element.attrib) - PARTICIPANT - {"AlternativeUserID", "UserName"} in (set(), ACCESS_POINT)
    assert element.attrib["UserIsRequestor"] in ("true", "false")
    assert element.attrib.get("NetworkAccessPointTypeCode", "1") in "12345"
    tags = [child.tag for child in element]
    assert tags == sorted(tags, key=["RoleIDCode", "MediaIdentifier"].index)
    for child in element:
        _coded(child if child.tag == "RoleIDCode" else child[0])


def _source(element: Xml.Element) -> None:
    assert set(element.attrib) <= {"AuditSourceID", "AuditEnterpriseSiteID"}
    assert element.attrib["AuditSourceID"]


def _object(element: Xml.Element) -> None:
    assert set(element.attrib) - {"ParticipantObjectTypeCodeRole", "ParticipantObjectDataLifeCycle"} == OBJECT
    assert all(element.attrib.values())
    tags = [child.tag for child in element]
    assert tags[0] == "ParticipantObjectIDTypeCode"
    assert tags[1] in ("ParticipantObjectName", "ParticipantObjectQuery")
    assert set(tags[2:]) <= {"ParticipantObjectDetail"}
    _coded(element[0])
    if tags[1] == "ParticipantObjectQuery":
        base64.b64decode(element[1].text or "", validate=True)
    for detail in element[2:]:
        assert set(detail.attrib) == {"type", "value"}
        base64.b64decode(detail.attrib["value"], validate=True)
