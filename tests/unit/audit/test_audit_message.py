"""Audit messages: every kind that has one, against the schema and against its table in PS3.15 A.5.3."""

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from support.auditschema import check

from dicomnode.audit.copies.codes import MESSAGES
from dicomnode.audit.copies.message import Known, audit_message
from dicomnode.audit.events import KINDS, event
from dicomnode.db.models import AuditEvent

KNOWN = Known("1.2.3", "PAT<7>", "CT1")
DETAIL = {"address": "10.0.0.7", "destination": "PACS"}

TABLES: dict[str, tuple[str, list[str], list[tuple[str, str]]]] = {
    "110100": ("E", ["110150"], []),
    "110101": ("R", ["", "110150"], [("2", "13")]),
    "110103": ("RUD", ["", "110150"], [("2", "3"), ("1", "1")]),
    "110104": ("CR", ["110153", "110152"], [("2", "3"), ("1", "1")]),
    "110106": ("R", ["110153", "110154"], [("2", "3"), ("1", "1")]),
    "110112": ("E", ["110153", "110152"], [("2", "3")]),
    "110113": ("E", ["", "110150"], [("2", "")]),
    "110114": ("E", [""], []),
}
"""Of each EventID: its actions, the roles of who takes part, and (type, role) of what it is about."""


def an_event(kind: str, **more: Any) -> AuditEvent:
    columns = {"actor": "Rita", "at": datetime(2026, 5, 5, 8, tzinfo=UTC), "series_uid": "1.2.3.4", "detail": DETAIL}
    return AuditEvent(id=7, **event(kind, f"what {kind} says", node="ward-3", **{**columns, **more}))


def roles(root: Xml.Element) -> list[str]:
    participants = root.findall("ActiveParticipant")
    return [role.attrib["csd-code"] if (role := each.find("RoleIDCode")) is not None else "" for each in participants]


@pytest.mark.parametrize("kind", sorted(MESSAGES))
@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_a_message_follows_the_schema_and_its_table(kind: str, outcome: str) -> None:
    text = audit_message(an_event(kind, outcome=outcome), KNOWN, "NODE")
    assert text is not None
    root = check(text)
    identification = root.find("EventIdentification")
    assert identification is not None
    assert identification.attrib["EventOutcomeIndicator"] == ("0" if outcome == "success" else "8")
    actions, wanted, objects = TABLES[identification[0].attrib["csd-code"]]
    assert identification.attrib["EventActionCode"] in actions
    assert roles(root) == wanted
    found = root.findall("ParticipantObjectIdentification")
    named = ("ParticipantObjectTypeCode", "ParticipantObjectTypeCodeRole")
    assert [tuple(each.attrib.get(name, "") for name in named) for each in found] == objects


def test_kinds_of_messages_are_kinds_of_events() -> None:
    assert set(MESSAGES) <= set(KINDS)


def test_a_sign_in_says_who_and_from_where() -> None:
    root = check(audit_message(an_event("session.refused", outcome="failure", subject="vera"), KNOWN, "NODE") or b"")
    (who,) = root.findall("ActiveParticipant")
    assert who.attrib["UserID"] == "vera"
    assert (who.attrib["NetworkAccessPointID"], who.attrib["NetworkAccessPointTypeCode"]) == ("10.0.0.7", "2")


def test_a_transfer_names_both_ends_the_study_and_the_patient() -> None:
    root = check(audit_message(an_event("delivery.sent", actor="node"), KNOWN, "NODE") or b"")
    assert [each.attrib["UserID"] for each in root.findall("ActiveParticipant")] == ["NODE", "PACS"]
    ids = [each.attrib["ParticipantObjectID"] for each in root.findall("ParticipantObjectIdentification")]
    assert ids == ["1.2.3", "PAT<7>"]


def test_what_has_no_message_or_no_study_has_none() -> None:
    assert audit_message(an_event("enhancement.claimed"), KNOWN, "NODE") is None
    assert audit_message(an_event("patient.viewed"), Known(), "NODE") is None


def test_what_xml_cannot_say_does_not_break_a_message() -> None:
    row = an_event("session.refused", outcome="failure")
    row.subject = "a\0b\x1b\ufffe\ud800c"  # as an earlier version wrote it
    root = check(audit_message(row, KNOWN, "NODE") or b"")
    assert root.findall("ActiveParticipant")[0].attrib["UserID"] == "a b   c"
