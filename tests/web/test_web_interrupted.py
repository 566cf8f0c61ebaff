"""What cuts a request short: a session that is over, a database that goes away in the middle of it."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout
from support.webapp import Headless, client, headless

from dicomnode.db.database import Database
from dicomnode.web.access.sign_ins import LONGEST, own_path
from dicomnode.web.pages import today


@pytest.fixture
def node(tmp_path: Path) -> Headless:
    return headless(tmp_path)


LONG = "x" * LONGEST
WAYS = {
    "/rules/edit?name=chest": "/rules/edit?name=chest",
    "/rules/promote?name=chest+%26+head": "/rules/promote?name=chest+%26+head",
    "/destinations/ward%203%3F/edit": "/destinations/ward%203%3F/edit",
    "/queue?state=failed&pipeline=x": "/queue?state=failed&pipeline=x",
    "/series?q=Dupont&status=failed": "/series",
    "/series/1.2.3?q=Dupont": "/series/1.2.3",
    "/audit?subject=Dupont": "/audit",
    f"/rules/edit?name={LONG}": "/rules/edit",
}


@pytest.mark.parametrize(("asked", "kept"), WAYS.items())
def test_a_sign_in_leads_back_to_what_was_asked_for_but_words_that_were_searched(node, asked, kept):
    target = urlsplit(client(node).get(asked).headers["location"])
    assert target.path == "/sign-in"
    assert parse_qs(target.query) == {"next": [kept]}
    assert own_path(kept) == kept


@pytest.mark.parametrize("error", [OperationalError("", {}, Exception("gone")), SQLAlchemyTimeout()])
def test_a_database_that_goes_away_in_the_middle_of_a_request_is_told(node, monkeypatch, error):
    signed_in = client(node, "admin")
    browser = TestClient(
        signed_in.app, base_url="http://testserver", cookies=signed_in.cookies, raise_server_exceptions=False
    )

    def gone(*_: object) -> None:
        raise error

    def gone_from_now(*_: object) -> None:
        monkeypatch.setattr(Database, "read", gone)
        raise error

    monkeypatch.setattr(today.desk, "version", gone_from_now)
    page = browser.get("/")
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "The database does not answer" in page.text
    assert "Back to Today" in page.text
