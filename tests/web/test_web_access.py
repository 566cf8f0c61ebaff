"""The door: cookies, sign-in and sign-out in a browser, other sites, other names of the node, headers, sizes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from support.postgres import PostgreSQL
from support.webapp import HOST, Headless, account, client, headless, session_of

from dicomnode.desk.accounts import accounts, passwords, sessions, tokens
from dicomnode.desk.person import Person
from dicomnode.web.access.barrier import LONGEST_BODY
from dicomnode.web.access.cookies import SESSION
from dicomnode.web.access.identify import BACKGROUND
from dicomnode.web.application import create_app

GOOD = "correct horse battery"
SHELL = Person("root (command line)", (), "command line")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost nothing; what they are worth is tested at the desk."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    monkeypatch.setattr(passwords, "_nobodys", None)


@pytest.fixture
def node(tmp_path: Path) -> Headless:
    return headless(tmp_path, web={"lockout_failures": 2})


@pytest.fixture
def anna(node: Headless) -> None:
    accounts.add(node.flow, SHELL, "anna", ["admin"], GOOD)


def test_a_program_that_is_lost_is_told_the_way_out(node: Headless) -> None:
    browser = client(node, "viewer")
    nowhere, wrongly = browser.get("/api/v1/nothing"), browser.delete("/api/v1/pipelines")
    for answer in (nowhere, wrongly, client(node).get("/api/v1/me")):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    assert nowhere.json()["detail"] == "/api/openapi.json lists every address"
    assert (wrongly.status_code, wrongly.headers["allow"]) == (405, "GET")
    assert wrongly.json()["detail"] == "this address takes GET"


def sign_in(browser: TestClient, password: str = GOOD, target: str = "/me") -> int:
    form = {"name": "anna", "password": password, "next": target}
    return browser.post("/sign-in", data=form).status_code


@pytest.mark.usefixtures("anna")
def test_in_and_out(node: Headless) -> None:
    browser = client(node)
    asked = browser.get("/me")
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=/me")
    answer = browser.post("/sign-in", data={"name": "anna", "password": GOOD, "next": "/me"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/me")
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in (f"{SESSION}=", "httponly", "samesite=lax", "path=/"))
    assert "domain" not in cookie
    assert browser.get("/me").status_code == 200
    assert browser.get("/sign-in?next=/me").headers["location"] == "/me"
    secret = browser.cookies[SESSION]
    assert browser.post("/sign-out").headers["location"] == "/sign-in"
    assert sessions.person_of(node.flow, secret) is None, "gone here too, not in the browser alone"


@pytest.mark.usefixtures("anna")
def test_a_session_that_was_put_into_a_browser_is_not_the_one_that_signs_in(node: Headless) -> None:
    """Fixation: whatever cookie a browser comes with, the session that begins has a secret of its own."""
    mine = account(node.flow, "viewer", name="attacker")
    for planted in (session_of(node.flow, mine), "chosen-by-somebody"):
        browser = client(node)
        browser.headers["Cookie"] = f"{SESSION}={planted}"
        answer = browser.post("/sign-in", data={"name": "anna", "password": GOOD})
        fresh = answer.cookies[SESSION]
        assert fresh != planted
        person = sessions.person_of(node.flow, fresh)
        assert person is not None
        assert person.name == "anna"
        assert sessions.person_of(node.flow, planted) is None


@pytest.mark.usefixtures("anna")
def test_wrong_passwords_are_told_alike_and_too_many_are_turned_away(node: Headless) -> None:
    browser = client(node)
    wrong = [browser.post("/sign-in", data={"name": name, "password": "wrong"}) for name in ("anna", "nobody-here")]
    assert [each.status_code for each in wrong] == [401, 401]
    assert len({each.text.replace(each.request.content.decode(), "").count("wrong") for each in wrong}) == 1
    assert sign_in(browser, "wrong") == 401
    answer = browser.post("/sign-in", data={"name": "anna", "password": GOOD})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 900
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "me"],
)
@pytest.mark.usefixtures("anna")
def test_a_sign_in_leads_to_this_node_only(node: Headless, target: str) -> None:
    answer = client(node).post("/sign-in", data={"name": "anna", "password": GOOD, "next": target})
    assert answer.headers["location"] == "/"


def test_without_an_account_the_page_says_how_to_make_one(node: Headless) -> None:
    assert "dicomnode users add NAME --role admin" in client(node).get("/sign-in").text
    account(node.flow, "admin")
    assert "dicomnode users add" not in client(node).get("/sign-in").text


def test_over_https_the_cookie_is_for_https_and_this_host_alone(tmp_path: Path) -> None:
    node = headless(tmp_path, web={"public_url": "https://node.example"})
    accounts.add(node.flow, SHELL, "anna", ["admin"], GOOD)
    browser = TestClient(
        create_app(node),
        base_url="https://node.example",
        follow_redirects=False,
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    cookie = browser.post("/sign-in", data={"name": "anna", "password": GOOD}).headers["set-cookie"]
    assert cookie.startswith(f"__Host-{SESSION}=")
    assert "; Secure" in cookie
    assert browser.get("/me").status_code == 200
    browser.cookies.set(SESSION, browser.cookies[f"__Host-{SESSION}"])
    del browser.cookies[f"__Host-{SESSION}"]
    assert browser.get("/me").status_code == 303, "a cookie that anybody on the way could have set counts for nothing"


def without(*names: str) -> Callable[[Headless], TestClient]:
    def browser(node: Headless) -> TestClient:
        found = client(node, "admin")
        for name in names:
            del found.headers[name]
        return found

    return browser


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, 303),
        ({"Sec-Fetch-Site": "cross-site", "Origin": HOST}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://other.testserver"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": HOST}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"{HOST}.evil.example"}, 403),
        ({}, 403),
    ],
)
def test_what_another_site_has_a_browser_send_is_refused(node: Headless, headers: dict[str, str], status: int) -> None:
    browser = without("Sec-Fetch-Site")(node)
    account(node.flow, "admin", name="another")
    assert browser.post("/me/sessions/end-others", headers=headers).status_code == status
    assert browser.delete("/api/v1/tokens/1", headers=headers).status_code == (404 if status == 303 else 403)
    assert browser.get("/me", headers=headers).status_code == 200, "what changes nothing may come from anywhere"


@pytest.mark.usefixtures("anna")
def test_another_site_signs_nobody_in(node: Headless) -> None:
    """Or it could have somebody work in an account that it can look into."""
    browser = without("Sec-Fetch-Site")(node)
    browser.cookies.clear()
    answer = browser.post("/sign-in", data={"name": "anna", "password": GOOD}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_program_comes_by_its_token_and_needs_no_origin(node: Headless) -> None:
    maker = account(node.flow, "admin", name="maker")
    person = sessions.person_of(node.flow, session_of(node.flow, maker))
    assert person is not None
    _, secret = tokens.make(node.flow, person, "nightly", ["admin"], 1)
    program = TestClient(create_app(node), base_url=HOST, follow_redirects=False)
    program.headers["Authorization"] = f"Bearer {secret}"
    assert program.get("/api/v1/me").json() == {
        "name": "maker (token nightly)",
        "roles": ["admin"],
        "via": "token",
        "names_shown": False,
    }
    new = {"name": "made", "roles": ["viewer"], "password": GOOD}
    assert program.get("/api/v1/users").status_code == 200
    assert program.post("/api/v1/users", json=new).status_code == 409, "it would outlive its own end"
    assert program.post("/api/v1/users/1/password", json={"password": GOOD}).status_code == 409
    assert program.post("/api/v1/tokens", json={"name": "more", "roles": ["admin"]}).status_code == 409
    for wrong in (f"Bearer {secret}x", "Bearer ", "Basic YTpi", secret):
        program.headers["Authorization"] = wrong
        program.cookies.set(SESSION, session_of(node.flow, maker))
        assert program.get("/api/v1/me").status_code == 401, "who sends a token comes by that, or not at all"


def test_a_cookie_beside_an_authorization_does_not_pass_another_sites_form(node: Headless) -> None:
    browser = without("Sec-Fetch-Site")(node)
    for authorization in ("Basic YTpi", "Bearer dn_made-up"):
        headers = {"Sec-Fetch-Site": "cross-site", "Authorization": authorization}
        assert browser.post("/api/v1/tokens", json={}, headers=headers).status_code in (401, 403)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("testserver", 303),
        ("localhost:8080", 303),
        ("127.0.0.1", 303),
        ("[::1]:8080", 303),
        ("node.example", 303),
        ("NODE.example:443", 303),
        ("evil.example", 421),
        ("10.0.0.9", 421),
        ("testserver.evil.example", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_the_node_answers_to_its_own_names_only(tmp_path: Path, host: str, status: int) -> None:
    node = headless(tmp_path, web={"public_url": "http://node.example"})
    browser = client(node)
    assert browser.get("/me", headers={"Host": host}).status_code == status
    assert browser.get("/healthz", headers={"Host": host}).status_code == 200, "monitors have their own names for it"


@pytest.mark.parametrize("path", ["/sign-in", "/me", "/api/v1/me", "/no/such/page", "/static/app.css", "/healthz"])
def test_every_answer_has_the_headers_of_a_closed_house(node: Headless, path: str) -> None:
    headers = client(node, "admin").get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert (headers.get("cache-control") == "no-store") is not path.startswith("/static/")


def test_faults_of_the_node_are_told_without_what_they_are(node: Headless, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the password of the database")

    browser = TestClient(create_app(node), base_url=HOST, raise_server_exceptions=False)
    monkeypatch.setattr(accounts, "has_administrator", fail)
    answer = browser.get("/sign-in")
    assert answer.status_code == 500
    assert "password of the database" not in answer.text
    assert "content-security-policy" in answer.headers


def test_a_request_has_a_size(node: Headless) -> None:
    browser = client(node, "admin")
    assert browser.post("/me/tokens", data={"name": "x" * LONGEST_BODY}).status_code == 413

    def endless() -> object:
        for _ in range(2 + LONGEST_BODY // 65536):
            yield b"x" * 65536

    headers = {"Content-Type": "application/json"}
    answer = browser.post("/api/v1/tokens", content=endless(), headers=headers)  # type: ignore[arg-type]
    assert answer.status_code in (400, 413)


def test_a_page_that_looks_after_itself_keeps_nobody_signed_in(node: Headless, monkeypatch: pytest.MonkeyPatch) -> None:
    awake: list[bool] = []

    def watched(flow: object, secret: str, *, awake: bool = True, seen: list[bool] = awake) -> None:
        seen.append(awake)

    browser = client(node, "admin")
    monkeypatch.setattr(sessions, "person_of", watched)
    browser.get("/me", headers={BACKGROUND: "1"})
    browser.get("/me")
    assert awake == [False, True]


def test_halves_of_characters_are_refused_and_not_a_fault(node: Headless) -> None:
    """JSON and a form's charset can both say a surrogate alone; without sign-in, each was a traceback in the log."""
    browser = client(node, "admin")
    answer = browser.post(
        "/api/v1/tokens", content=rb'{"name":"x","roles":["\ud800"]}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    kind = "multipart/form-data; boundary=B; charset=unicode_escape"
    body = b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n\\ud800\r\n--B--\r\n'
    nobody = client(node)
    assert nobody.post("/sign-in", content=body % b"name", headers={"Content-Type": kind}).status_code == 401
    assert (
        browser.post("/system/enhancing/stop", content=body % b"reason", headers={"Content-Type": kind}).status_code
        == 422
    )
    assert browser.get("/api/v1/switch").json()["stopped"] is False


@pytest.mark.postgres
def test_a_character_that_postgresql_does_not_keep_is_not_a_database_that_is_away(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    with postgresql.fresh() as url:
        elsewhere = headless(tmp_path, url)
        answer = client(elsewhere, "admin").put("/api/v1/switch", json={"stopped": True, "reason": "a\0b"})
        elsewhere.flow.database.close()
    assert (answer.status_code, answer.json()["title"]) == (422, "the request is not valid")
