"""The audit log in the browser and for programs: search, export, verify; and who looks is in it, too."""

import csv
import io
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from support.tampering import Intruder
from support.webapp import Headless, client, headless

from dicomnode.audit import chain
from dicomnode.audit.events import KINDS, record
from dicomnode.desk.patients import HIDDEN, viewed
from dicomnode.desk.person import Person

NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def node(tmp_path: Path) -> Headless:
    """Sixty events, an hour apart, of two series."""
    node = headless(tmp_path)
    with node.flow.database.write() as session:
        for number in range(60):
            record(
                session,
                "delivery.sent" if number % 2 else "series.complete",
                f"event {number} {SCRIPT}",
                node="n",
                actor="=cmd()" if number == 7 else "node",
                outcome="failure" if number == 9 else "success",
                at=NOW + timedelta(hours=number),
                series_uid=f"1.2.{number % 2}",
                study_uid="1.2",
                subject=f"delivery:{number}",
                detail={"number": number, "text": SCRIPT},
            )
    chain.seal(node.flow.database)
    return node


def verified(browser: TestClient) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = browser.get("/api/v1/audit/verification").json()
        if state["verified"] and not state["running"]:
            found: dict[str, object] = state["verified"]
            return found
        time.sleep(0.02)
    raise AssertionError("the verification did not end")


def events(browser: TestClient, **filters: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = browser.get("/api/v1/audit", params=filters).json()["items"]
    return found


def test_the_page_shows_events_newest_first_and_escapes_what_they_say(node: Headless) -> None:
    html = client(node, "auditor").get("/audit").text
    assert html.index("event 59") < html.index("event 58")
    assert SCRIPT not in html
    assert "&lt;script&gt;" in html
    assert "60 events" in html, "the chain's length"


def test_pages_go_on_to_the_end(node: Headless) -> None:
    browser = client(node, "auditor")
    first = browser.get("/api/v1/audit", params={"study": "1.2"}).json()
    second = browser.get("/api/v1/audit", params={"study": "1.2", "cursor": first["next"]}).json()
    numbers = [item["detail"]["number"] for item in first["items"] + second["items"]]
    assert numbers == list(range(59, -1, -1))
    assert second["next"] is None
    assert 'rel="next"' in browser.get("/audit?study=1.2").text


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({"outcome": "failure"}, [9]),
        ({"subject": "delivery:30"}, [30]),
        ({"series": "1.2.1", "until": "2026-05-05T14:30:00+00:00"}, [1]),
        ({"kind": "delivery", "until": "2026-05-05T15:30:00+00:00"}, [3, 1]),
        ({"actor": "=cmd()"}, [7]),
        ({"actor": "nobody"}, []),
    ],
)
def test_filters(node: Headless, filters: dict[str, str], numbers: list[int]) -> None:
    browser = client(node, "auditor")
    assert [item["detail"]["number"] for item in events(browser, **filters)] == numbers  # type: ignore[index]
    html = browser.get("/audit", params=filters).text
    assert html.count("<details>") == len(numbers)


@pytest.mark.parametrize(
    "query",
    [
        *("kind=nonsense", "since=x", "until=2026-99-01", "actor=a%00b"),
        *("cursor=abc", "cursor=WyJ4IiwgNV0", "cursor=WyIyMDI2LTAxLTAxIiwgOTk5OTk5OTk5OTk5OTk5OTk5OTk5XQ"),
    ],
)
def test_nonsense_is_refused(node: Headless, query: str) -> None:
    browser = client(node, "auditor")
    assert browser.get(f"/api/v1/audit?{query}").status_code == 422
    assert browser.get(f"/audit?{query}").status_code == 422


def test_one_event(node: Headless) -> None:
    browser = client(node, "auditor")
    item = browser.get("/api/v1/audit/5").json()
    assert (item["id"], item["seq"], item["detail"]["number"]) == (5, 5, 4)
    assert browser.get("/api/v1/audit/99999").status_code == 404
    assert browser.get("/api/v1/audit/99999999999999999999").status_code == 422


def test_what_rules_saw_of_a_patient_is_hidden_too(node: Headless) -> None:
    outcomes = {"VIP": 'does not match: PatientName contains "X": seen "Zwölfender; A"', "CT": "matches: ct-denoise"}
    with node.flow.database.write() as session:
        message = "; ".join(f"{rule}: {outcome}" for rule, outcome in outcomes.items())
        record(session, "rule.decided", message, node="n", detail={"generation": 1, "outcomes": outcomes})
    query = {"kind": "rule.decided"}
    auditor, admin = client(node, "auditor"), client(node, "admin", names_shown=True)
    (item,) = events(auditor, **query)
    assert item["message"] == f"VIP: does not match: {HIDDEN}; CT: matches: ct-denoise"
    assert (item["masked"], item["detail"]["outcomes"]["CT"]) == (True, "matches: ct-denoise")  # type: ignore[index]
    for door in ("/audit", "/api/v1/audit/export"):
        assert "Zwölfender" not in auditor.get(door, params=query).text
    assert "Zwölfender" in admin.get("/audit", params=query).text
    assert events(admin, **query, names="true")[0]["message"] == message


def test_programs_learn_which_kinds_there_are(node: Headless) -> None:
    kinds = client(node, "auditor").get("/api/v1/audit/kinds").json()
    assert kinds == dict(KINDS)
    assert "delivery.sent" in kinds


def test_who_looks_is_in_the_log_once_for_the_same_look(node: Headless) -> None:
    browser = client(node, "auditor", name="Olga")
    for _ in range(3):
        browser.get("/audit?outcome=failure")
    (look,) = events(client(node, "admin"), kind="audit.viewed", actor="Olga")
    assert look["detail"]["filters"] == {"outcome": "failure"}  # type: ignore[index]


def test_a_name_that_somebody_looked_for_is_masked_as_the_patient_is(node: Headless) -> None:
    seeing = Person("rita", ("radiologist",), names_shown=True)
    viewed(node.flow, seeing, "the series list", filters={"text": "Zwölfender"}, shown=1)
    query = {"kind": "patient.viewed"}
    assert "Zwölfender" not in client(node, "auditor").get("/audit", params=query).text
    assert "Zwölfender" in client(node, "admin", names_shown=True).get("/audit", params=query).text


def test_such_a_name_leaves_by_no_other_door_and_the_chain_holds(node: Headless) -> None:
    seeing = Person("rita", ("radiologist",), names_shown=True)
    viewed(node.flow, seeing, "the series list", filters={"text": "Zwölfender", "modality": "CT"}, shown=1)
    auditor, admin = client(node, "auditor"), client(node, "admin", name="Ada", names_shown=True)
    query = {"kind": "patient.viewed"}
    (item,) = events(auditor, **query)
    assert item["detail"] == {"filters": {"text": HIDDEN, "modality": "CT"}, "shown": 1, "via": "session"}
    assert item["masked"]
    one = f"/api/v1/audit/{item['id']}"
    doors = [(one, {}), ("/api/v1/audit/export", query), ("/api/v1/audit/export", {**query, "format": "csv"})]
    for path, asked in doors:
        assert "Zwölfender" not in auditor.get(path, params=asked).text
        assert "Zwölfender" not in admin.get(path, params=asked).text, "a program asks for names in so many words"
        assert "Zwölfender" in admin.get(path, params={**asked, "names": "true"}).text
        assert auditor.get(path, params={**asked, "names": "true"}).status_code == 403
    assert "Zwölfender" not in auditor.post("/audit/export", data={**query, "format": "csv"}).text
    assert "Zwölfender" in admin.post("/audit/export", data={**query, "format": "csv"}).text
    (kept,) = admin.get("/api/v1/audit/export", params={**query, "names": "true"}).json()
    assert (kept["masked"], kept["hash"]) == (False, events(auditor, **query)[0]["hash"])
    auditor.post("/api/v1/audit/verification")
    assert verified(auditor)["ok"], "what is masked is masked on its way out alone"


def test_an_export_is_what_was_searched_for_and_an_event(node: Headless) -> None:
    browser = client(node, "auditor", name="Olga")
    answer = browser.get("/api/v1/audit/export", params={"kind": "delivery", "series": "1.2.1"})
    rows = json.loads(answer.text)
    assert [row["detail"]["number"] for row in rows] == list(range(1, 60, 2))
    assert all(row["hash"] for row in rows)
    assert 'filename="audit.json"' in answer.headers["content-disposition"]
    (event,) = events(browser, kind="audit.exported")
    assert event["actor"] == "Olga"
    assert event["detail"] == {
        "count": 30, "filters": {"kind": "delivery", "series": "1.2.1"}, "format": "json", "via": "session",
    }  # fmt: skip


def test_nothing_found_is_still_a_document(node: Headless) -> None:
    browser = client(node, "auditor")
    assert browser.get("/api/v1/audit/export", params={"actor": "nobody"}).json() == []
    answer = browser.get("/api/v1/audit/export", params={"actor": "nobody", "format": "csv"})
    assert answer.text.startswith("id,at,node,")
    assert len(answer.text.splitlines()) == 1


def test_no_cell_of_a_csv_is_a_formula(node: Headless) -> None:
    browser = client(node, "auditor")
    answer = browser.post("/audit/export", data={"format": "csv", "study": "1.2"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 60
    assert rows[7]["actor"] == "'=cmd()"
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@")]
    assert json.loads(rows[7]["detail"])["text"] == SCRIPT


def test_who_may_not_export_is_not_offered_it(node: Headless) -> None:
    assert "/audit/export" in client(node, "auditor").get("/audit").text
    browser = client(node, "operator")
    assert browser.get("/audit").status_code == 403
    assert browser.get("/api/v1/audit/export").status_code == 403


def test_the_log_is_verified_in_the_background(node: Headless) -> None:
    browser = client(node, "auditor", name="Olga")
    assert browser.get("/api/v1/audit/verification").json()["verified"] is None
    answer = browser.post("/audit/verification")
    assert (answer.status_code, answer.headers["location"]) == (303, "/audit/verification")
    last = verified(browser)
    assert (last["ok"], last["by"]) == (True, "Olga")
    assert "intact" in browser.get("/audit/verification").text
    assert [event["actor"] for event in events(browser, kind="audit.verified")] == ["Olga"]


def test_tampering_is_named_on_the_page(node: Headless) -> None:
    Intruder(node.flow.database).edits(20)
    browser = client(node, "auditor")
    assert browser.post("/api/v1/audit/verification").status_code == 202
    last = verified(browser)
    assert last["ok"] is False
    assert last["detail"]["first_bad"] == 20  # type: ignore[index]
    html = browser.get("/audit").text
    assert "tampered" in html
    assert "link 20: event 20 does not match its seal" in html
