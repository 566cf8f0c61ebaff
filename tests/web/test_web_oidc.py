"""Sign-in by a real OpenID Connect provider: who comes in and as what, and what is not believed."""

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import select, update
from support.oidc import SECRET, Person, pass_through, provider, sign_out
from support.webapp import HOST, Headless, account, client, headless

from dicomnode.db.models import Account, AuditEvent, SignInAttempt
from dicomnode.web.access import cookies, sign_ins

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]  # the first one may have to install the provider

BACK = f"{HOST}/sign-in/back"
PEOPLE = {
    "a1": Person("anna", ("pacs-admins", "canteen")),
    "b2": Person("bob", ("radiology",)),
    "c3": Person("carol", ("canteen",)),
    "d4": Person("local", ("radiology",)),
    "e5": Person("<script>", ("radiology",)),
}
ROLES = {"pacs-admins": ["admin", "auditor"], "radiology": "radiologist"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider(BACK, PEOPLE) as running:
        yield running


@pytest.fixture
def make(tmp_path: Path, issuer: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Headless]:
    monkeypatch.setattr("dicomnode.web.access.provider.SECONDS", 60.0)

    def node(**changed: Any) -> Headless:
        oidc = {
            "issuer": issuer,
            "client_id": "dicomnode",
            "client_secret": SECRET,
            "scopes": ["openid", "profile", "groups"],
            "roles": ROLES,
            **changed,
        }
        return headless(tmp_path, web={"public_url": HOST, "oidc": oidc})

    return node


@pytest.fixture
def node(make: Callable[..., Headless]) -> Headless:
    return make()


def sent_back(browser: TestClient, login: str, wanted: str = "/me") -> str:
    """Away from the sign-in page, through the provider: the address that the browser is sent back to."""
    away = browser.get("/sign-in/provider", params={"next": wanted})
    assert away.status_code == 303, away.text
    return pass_through(away.headers["location"], login, BACK)


def sign_in(node: Headless, login: str) -> tuple[TestClient, Response]:
    browser = client(node)
    return browser, browser.get(sent_back(browser, login))


def changed(address: str, **values: str) -> str:
    query = {name: found[0] for name, found in parse_qs(urlsplit(address).query).items()} | values
    return f"{BACK}?{urlencode(query)}"


def refusals(node: Headless) -> list[Any]:
    with node.flow.database.read() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.kind == "session.refused")))


def refused(answer: Response, words: str) -> None:
    assert answer.status_code == 403
    assert words in answer.text
    assert cookies.SESSION not in answer.headers.get("set-cookie", "")


def test_who_has_a_mapped_group_comes_in_with_its_roles(node: Headless) -> None:
    browser, answer = sign_in(node, "a1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/me")
    assert browser.get("/api/v1/me").json()["roles"] == ["admin", "auditor"]
    assert "anna of the tests" in browser.get("/me").text
    with node.flow.database.read() as session:
        row = session.scalars(select(Account)).one()
        kinds = list(session.scalars(select(AuditEvent.kind).order_by(AuditEvent.id)))
    assert (row.name, row.subject, row.password_hash) == ("anna", "a1", "")
    assert kinds == ["account.added", "session.began"]


def test_groups_in_the_id_token_need_no_userinfo(tmp_path: Path) -> None:
    with provider(BACK, PEOPLE, everything_in_the_id_token=True) as other:
        oidc = {"issuer": other, "client_id": "dicomnode", "client_secret": SECRET, "roles": ROLES}
        own = headless(tmp_path, web={"public_url": HOST, "oidc": {**oidc, "scopes": ["profile", "groups"]}})
        browser, _ = sign_in(own, "b2")
        assert browser.get("/api/v1/me").json()["roles"] == ["radiologist"]


def test_roles_follow_the_groups_of_each_sign_in(make: Callable[..., Headless]) -> None:
    browser, _ = sign_in(make(), "b2")
    assert browser.get("/api/v1/me").json()["roles"] == ["radiologist"]
    other = make(roles={"radiology": "viewer"})
    sign_in(other, "b2")
    assert browser.get("/api/v1/me").json()["roles"] == ["viewer"]
    refused(sign_in(make(roles={"nobody-is-in-it": "viewer"}), "b2")[1], "none of your groups")
    assert browser.get("/api/v1/me").status_code == 401, "what the groups gave is taken back"


@pytest.mark.parametrize(
    ("login", "words"),
    [("c3", "none of your groups"), ("d4", "Another account is called local"), ("e5", "a name that")],
)
def test_who_may_not_is_told_so(node: Headless, login: str, words: str) -> None:
    account(node.flow, "viewer", name="local")
    browser, answer = sign_in(node, login)
    refused(answer, words)
    assert "<script>" not in answer.text.replace('<script src="', "")
    assert browser.get("/api/v1/me").status_code == 401
    assert [each.detail["by"] for each in refusals(node)] == ["provider"]
    with node.flow.database.read() as session:
        assert list(session.scalars(select(Account.name))) == ["local"]


def test_a_disabled_account_stays_out(node: Headless) -> None:
    sign_in(node, "a1")
    with node.flow.database.write() as session:
        row = session.scalars(select(Account)).one()
        row.disabled_at = row.created_at
    refused(sign_in(node, "a1")[1], "disabled")


def test_a_state_of_another_browser_is_refused(node: Headless) -> None:
    """Or somebody could have others sign in as himself, and look at what they do."""
    mine, theirs = client(node), client(node)
    back = sent_back(mine, "a1")
    refused(theirs.get(back), "not begun in this browser")
    refused(client(node).get(changed(back, state="made-up")), "not begun in this browser")
    assert mine.get(back).status_code == 303


def test_coming_back_twice_is_refused(node: Headless) -> None:
    browser = client(node)
    back = sent_back(browser, "a1")
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert browser.get(back).status_code == 303
    browser.cookies.set(cookies.SIGN_IN, state)
    refused(browser.get(back), "over")


def test_a_code_of_another_sign_in_is_refused(node: Headless) -> None:
    """PKCE: the code is worth nothing to a sign-in that did not ask for it."""
    other, browser = client(node), client(node)
    stolen = parse_qs(urlsplit(sent_back(other, "a1")).query)["code"][0]
    back = sent_back(browser, "b2")
    refused(browser.get(changed(back, code=stolen)), "did not confirm")


def test_an_id_token_of_another_sign_in_is_refused(node: Headless) -> None:
    browser = client(node)
    back = sent_back(browser, "a1")
    with node.flow.database.write() as session:
        session.execute(update(SignInAttempt).values(nonce="of another sign-in"))
    refused(browser.get(back), "did not confirm")


def test_what_took_too_long_is_over(node: Headless) -> None:
    browser = client(node)
    back = sent_back(browser, "a1")
    with node.flow.database.write() as session:
        row = session.scalars(select(SignInAttempt)).one()
        row.ends_at = session.scalars(select(SignInAttempt.ends_at)).one().replace(year=2000)
    refused(browser.get(back), "over")


def test_an_answer_of_another_issuer_and_an_error_are_refused(node: Headless) -> None:
    for values in ({"iss": "https://elsewhere.example"}, {"error": "access_denied"}, {"code": ""}):
        browser = client(node)
        refused(browser.get(changed(sent_back(browser, "a1"), **values)), "did not let you in")


def test_a_provider_that_is_away_is_said_to_be(make: Callable[..., Headless]) -> None:
    answer = client(make(issuer="http://127.0.0.1:9")).get("/sign-in/provider")
    assert answer.status_code == 503
    assert "does not answer" in answer.text


def test_without_a_provider_there_is_nothing_to_go_to(tmp_path: Path) -> None:
    assert client(headless(tmp_path)).get("/sign-in/provider").status_code == 404


def test_the_sign_in_page_offers_the_provider_and_sends_nobody_elsewhere(node: Headless) -> None:
    browser = client(node)
    page = browser.get("/sign-in", params={"next": "//evil.example/"}).text
    assert "/sign-in/provider?next=/" in page
    assert "evil.example" not in page
    answer = browser.get(sent_back(browser, "a1", "https://evil.example/"))
    assert answer.headers["location"] == "/"


def test_who_signs_out_is_told_of_the_provider_and_gets_there(node: Headless) -> None:
    """Its session is another one: on a shared machine it would let the next person in, unasked and as this one."""
    browser, _ = sign_in(node, "a1")
    left = browser.post("/sign-out").headers["location"]
    assert left == "/sign-in?left=provider"
    address = re.search(r'href="(http://[^"]+end[^"]*)"', browser.get(left).text)
    assert address is not None
    assert sign_out(html.unescape(address[1]), HOST) == f"{HOST}/sign-in"
    assert client(node, "viewer", name="local").post("/sign-out").headers["location"] == "/sign-in"
    assert "Sign out there" not in browser.get("/sign-in").text


def test_who_leaves_for_the_provider_and_never_comes_back_keeps_nobody_out(
    node: Headless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for so many sign-ins under way; one address cannot have all of it."""
    monkeypatch.setattr(sign_ins, "MOST_AWAY", 3)
    browser = client(node)
    for _ in range(3):
        assert browser.get(sent_back(browser, "a1")).status_code == 303
    answers = [browser.get("/sign-in/provider").status_code for _ in range(5)]
    assert answers == [303, 303, 303, 503, 503], "who came back is not counted"
    other = TestClient(browser.app, base_url=HOST, client=("10.0.0.2", 1), follow_redirects=False)
    assert other.get("/sign-in/provider").status_code == 303
