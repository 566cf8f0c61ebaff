"""What is shown of patients, to whom, and what the audit log tells of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files
from support.webapp import Headless, account, headless, session_of

from dicomnode.db.models import AuditEvent
from dicomnode.db.repositories import audit
from dicomnode.desk import patients
from dicomnode.desk.accounts import sessions
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused

SEES = Person("ada", ("operator",), names_shown=True)
HIDDEN = Person("ada", ("operator",))


def events(node: Headless, kind: str) -> list[AuditEvent]:
    with node.flow.database.read() as session:
        return list(audit.listing(session, limit=50, kind=kind))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Adams^John Robert^Quincy^Rev.^B.A. M.Div.", "Adams, Rev. John Robert Quincy, B.A. M.Div."),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田 太郎, やまだ たろう)"),
        ("=山田^太郎", "山田 太郎"),
        ("Morrison-Jones^Susan^^^Ph.D.", "Morrison-Jones, Susan, Ph.D."),
        ("^^^^", ""),
        ("", ""),
        ("A^B^C^D^E^F=x=y=z", "A, D B C, E (x, y, z)"),
    ],
)
def test_a_name_is_read_group_by_group(name: str, read: str) -> None:
    assert patients.readable_name(name) == read


@pytest.mark.parametrize("file", ["chrArab", "chrFren", "chrGerm", "chrGreek", "chrH31", "chrH32", "chrHbrw", "chrI2"])
def test_the_names_of_every_script_are_whole(file: str) -> None:
    name = str(dcmread(get_charset_files(f"{file}.dcm")[0]).PatientName)
    for word in name.replace("=", " ").replace("^", " ").split():
        assert word in patients.readable_name(name)


def test_what_is_hidden_tells_nothing_of_its_length() -> None:
    assert patients.shown_name(HIDDEN, "A^B") == patients.shown_name(HIDDEN, "Adams^John") == patients.HIDDEN
    assert patients.shown_id(HIDDEN, "4711") == patients.HIDDEN
    assert patients.shown_name(HIDDEN, "") == patients.shown_id(HIDDEN, "") == ""
    assert patients.shown_name(SEES, "A^B") == "A, B"
    assert patients.shown_id(SEES, "4711") == "4711"


def test_who_lacks_the_permission_sees_nothing_whatever_the_session_says() -> None:
    assert patients.shown_name(Person("eve", ("viewer",), names_shown=True), "A^B") == patients.HIDDEN
    with pytest.raises(Refused):
        patients.with_names(Person("eve", ("auditor",), "token"))
    assert patients.sees(patients.with_names(Person("bot", ("operator",), "token")))


def test_names_are_shown_for_a_while_and_hidden_again(tmp_path: Path) -> None:
    node = headless(tmp_path, web={"reveal_minutes": 7})
    secret = session_of(node.flow, account(node.flow, "radiologist", name="ada"))
    person = sessions.person_of(node.flow, secret)
    assert person
    assert not patients.sees(person)
    patients.show_names(node.flow, person)
    shown = sessions.person_of(node.flow, secret)
    assert shown
    assert patients.sees(shown)
    patients.hide_names(node.flow, shown)
    hidden = sessions.person_of(node.flow, secret)
    assert hidden
    assert not patients.sees(hidden)
    assert [row.detail for row in events(node, "patient.names_shown")] == [{"minutes": 7}]
    assert [row.actor for row in events(node, "patient.names_hidden")] == ["ada"]


def test_a_token_has_no_session_to_show_names_in(tmp_path: Path) -> None:
    node = headless(tmp_path)
    with pytest.raises(Refused, match="names=true"):
        patients.show_names(node.flow, Person("bot", ("admin",), "token"))
    with pytest.raises(Refused, match="permission"):
        patients.show_names(node.flow, Person("eve", ("viewer",)))
    assert not events(node, "patient.names_shown")


def test_a_site_may_show_names_without_asking(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    hides, shows = headless(tmp_path).flow, headless(tmp_path / "shows", web={"hide_patient_names": False}).flow
    assert patients.are_shown(shows, permitted=True, until=None, now=now)
    assert not patients.are_shown(shows, permitted=False, until=None, now=now)
    assert not patients.are_shown(hides, permitted=True, until=now - timedelta(seconds=1), now=now)
    assert patients.are_shown(hides, permitted=True, until=now + timedelta(seconds=1), now=now)


def test_a_page_that_refreshes_is_one_look(tmp_path: Path) -> None:
    node = headless(tmp_path)
    for count in (3, 4, 5):
        patients.viewed(node.flow, SEES, "the series list", filters={"text": "山田", "modality": ""}, shown=count)
    patients.viewed(node.flow, SEES, "the series list", filters={"text": "yamada"}, shown=1)
    patients.viewed(node.flow, SEES, "a series", series_uid="1.2.3", study_uid="1.2")
    patients.viewed(node.flow, SEES, "a series", series_uid="1.2.4", study_uid="1.2")
    found = events(node, "patient.viewed")
    assert [(row.subject, row.series_uid, row.detail.get("shown")) for row in found] == [
        ("the series list", None, 3),
        ("the series list", None, 1),
        ("a series", "1.2.3", None),
        ("a series", "1.2.4", None),
    ]
    assert found[0].detail["filters"] == {"text": "山田"}
