"""Whatever happened has its event: a busy day's rows against the log, and what people do against who did it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from support.house import PASSWORD, copy_of
from support.matrix import RecordRow
from support.webapp import Headless, client
from typer.testing import CliRunner

from dicomnode.audit.verification import verify
from dicomnode.cli import app
from dicomnode.db.models import (
    Account,
    Association,
    AuditEvent,
    Delivery,
    Enhancement,
    InstanceVersion,
    RuleDecision,
    Series,
    SiteRevision,
)

pytestmark = [pytest.mark.peers, pytest.mark.faults]


@pytest.fixture(scope="module")
def house(house_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Headless:
    return copy_of(house_folder, tmp_path_factory.mktemp("complete"))


def found(session: Session, *kinds: str) -> list[AuditEvent]:
    return list(session.scalars(select(AuditEvent).where(AuditEvent.kind.in_(kinds))))


def subjects(session: Session, kind: str) -> set[str | None]:
    return {event.subject for event in found(session, kind)}


def test_every_row_of_the_day_has_its_event(house: Headless) -> None:
    with house.flow.database.read() as session:
        for association in session.scalars(select(Association)):
            kinds = {
                event.kind for event in session.scalars(select(AuditEvent)) if association.id in (event.subject or "")
            }
            assert {"association.opened", "association.closed"} <= kinds, association
        assert len(found(session, "association.rejected")) == 1
        conflicts = session.scalars(select(InstanceVersion.sop_uid).where(InstanceVersion.kind == "conflict"))
        assert {f"instance:{uid}" for uid in conflicts} == subjects(session, "instance.conflict") != set()
        complete = {event.series_uid for event in found(session, "series.complete")}
        assert set(session.scalars(select(Series.uid).where(Series.completed_at.is_not(None)))) <= complete
        decided = {event.series_uid for event in found(session, "rule.decided")}
        assert set(session.scalars(select(RuleDecision.series_uid))) == decided
        numbers = {event.subject for event in found(session, "site.imported", "site.published", "site.rolled_back")}
        assert {f"revision:{number}" for number in session.scalars(select(SiteRevision.number))} == numbers
        assert session.scalar(select(func.count(Account.id))) == len(found(session, "account.added"))


def test_every_piece_of_work_and_every_delivery_tells_how_it_began_and_ended(house: Headless) -> None:
    with house.flow.database.read() as session:
        for work in session.scalars(select(Enhancement)):
            assert f"enhancement:{work.id}" in subjects(session, "enhancement.created")
            if work.state not in ("ready", "running"):
                assert f"enhancement:{work.id}" in subjects(session, f"enhancement.{work.state}"), work.state
        for delivery in session.scalars(select(Delivery)):
            assert f"delivery:{delivery.id}" in subjects(session, "delivery.created")
            if delivery.state in ("sent", "failed", "committed", "verified", "cancelled"):
                assert f"delivery:{delivery.id}" in subjects(session, f"delivery.{delivery.state}"), delivery.state


def test_the_day_holds_by_chain_and_anchors(house: Headless, record_row: RecordRow) -> None:
    found = verify(house.flow.database, house.flow.settings.audit.folder(house.flow.root))
    assert found.ok, found.reason
    assert found.anchors.files == 1
    assert found.anchors.agreed > 0
    record_row(26, "a day of the house", node=f"{found.checked} events, one for each row; chain and anchors hold")


def cli(*words: str) -> Callable[[TestClient, Headless], None]:
    """A command over the house; its actor is who runs the tests."""

    def run(browser: TestClient, house: Headless) -> None:
        config = str(house.flow.root.parents[1] / "dicomnode.toml")
        answer = CliRunner().invoke(app, [*words, "--config", config], catch_exceptions=False)
        assert answer.exit_code == 0, answer.output

    return run


def post(path: str, **fields: str) -> Callable[[TestClient, Headless], None]:
    def run(browser: TestClient, house: Headless) -> None:
        assert browser.post(path.format(uid=a_series(house)), data=fields).status_code < 400

    return run


def get(path: str) -> Callable[[TestClient, Headless], None]:
    def run(browser: TestClient, house: Headless) -> None:
        assert browser.get(path.format(uid=a_series(house))).status_code == 200

    return run


def a_series(house: Headless) -> str:
    with house.flow.database.read() as session:
        uid = session.scalar(select(Series.uid).where(Series.completed_at.is_not(None)).order_by(Series.uid))
        assert uid is not None
        return uid


PEOPLE_DO: dict[str, tuple[str, Callable[[TestClient, Headless], Any]]] = {
    "shows names": ("patient.names_shown", post("/names/show")),
    "looks at the series": ("patient.viewed", get("/series")),
    "looks at one": ("patient.viewed", get("/series/{uid}")),
    "hides names": ("patient.names_hidden", post("/names/hide")),
    "keeps a series": ("series.kept", post("/series/{uid}/keep")),
    "releases it": ("series.released", post("/series/{uid}/release")),
    "stops enhancing": ("enhancing.stopped", post("/system/enhancing/stop", reason="why")),
    "starts it": ("enhancing.started", post("/system/enhancing/start")),
    "pauses jobs": ("jobs.paused", post("/queue/pause", reason="why")),
    "resumes them": ("jobs.resumed", post("/queue/resume")),
    "pauses a destination": ("destination.paused", post("/destinations/pacs/pause", reason="why")),
    "resumes it": ("destination.resumed", post("/destinations/pacs/resume")),
    "searches the log": ("audit.viewed", get("/audit?kind=site")),
    "exports it": ("audit.exported", post("/audit/export")),
    "makes an account": ("account.added", post("/users/new", name="new", roles="viewer", password=PASSWORD)),
    "exports a series by command": (
        "series.exported",
        lambda browser, house: cli("series", "export", a_series(house), "--out", str(house.flow.root / "../out"))(
            browser, house
        ),
    ),
    "pauses jobs by command": ("jobs.paused", cli("jobs", "pause", "--reason", "why")),
    "resumes them by command": ("jobs.resumed", cli("jobs", "resume")),
    "verifies the log by command": ("audit.verified", cli("audit", "verify")),
    "exports the log by command": ("audit.exported", cli("audit", "export")),
    "exports rules and destinations by command": ("site.exported", cli("site", "export")),
}


def test_what_people_do_is_told_with_their_name(house: Headless) -> None:
    browser = client(house, "admin", name="Renate")
    wrong = []
    for what, (kind, do) in PEOPLE_DO.items():
        before = last_event(house)
        do(browser, house)
        with house.flow.database.read() as session:
            new = session.scalars(select(AuditEvent).where(AuditEvent.id > before)).all()
        actor = "(command line)" if "by command" in what else "Renate"
        if not [event for event in new if event.kind == kind and event.actor.endswith(actor)]:
            wrong.append(f"{what}: {[(event.kind, event.actor) for event in new]}")
    assert not wrong, "\n".join(wrong)


def last_event(house: Headless) -> int:
    with house.flow.database.read() as session:
        return session.scalar(select(func.max(AuditEvent.id))) or 0


def test_who_signs_in_and_who_is_not_let_in_is_told(house: Headless) -> None:
    browser = client(house)
    before = last_event(house)
    browser.post("/sign-in", data={"name": "vera", "password": "guessed wrongly"})
    browser.post("/sign-in", data={"name": "vera", "password": PASSWORD})
    browser.post("/sign-out")
    with house.flow.database.read() as session:
        new = session.scalars(select(AuditEvent).where(AuditEvent.id > before).order_by(AuditEvent.id)).all()
    assert [event.kind for event in new] == ["session.refused", "session.began", "session.ended"]
    assert new[-1].at - new[0].at < timedelta(minutes=5)
