"""The pages of accounts as they are used: one's own, and everybody's."""

import re
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from support.webapp import Headless, account, client, headless

from dicomnode.desk.accounts import accounts, passwords, sessions
from dicomnode.desk.person import Person
from dicomnode.web.access.cookies import SESSION

GOOD, BETTER = "correct horse battery", "a better one than that"
SHELL = Person("root (command line)", (), "command line")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    monkeypatch.setattr(passwords, "_nobodys", None)


@pytest.fixture
def node(tmp_path: Path) -> Headless:
    return headless(tmp_path)


def test_an_administrator_looks_after_an_account(node: Headless) -> None:
    admin = client(node, "admin")
    form = {"name": "bob", "display_name": "Bob <b>", "password": "short", "roles": ["viewer"]}
    again = admin.post("/users/new", data=form)
    assert again.status_code == 422
    assert "at least 12" in again.text
    assert 'value="bob"' in again.text
    assert "short" not in again.text.replace("shorter", ""), "no password comes back in a page"
    made = admin.post("/users/new", data={**form, "password": GOOD})
    assert made.status_code == 303
    where = made.headers["location"]
    assert "Bob &lt;b&gt;" in admin.get(where).text
    bob = client(node)
    bob.post("/sign-in", data={"name": "bob", "password": GOOD})
    assert bob.get("/api/v1/me").json()["roles"] == ["viewer"]
    admin.post(f"{where}/roles", data={"roles": ["operator", "viewer"]})
    assert bob.get("/api/v1/me").json()["roles"] == ["viewer", "operator"]
    ends = re.findall(rf'action="({where}/sessions/[0-9a-f]+/end)"', admin.get(where).text)
    assert len(ends) == 1
    assert admin.post(ends[0]).status_code == 303
    assert bob.get("/me").status_code == 303
    assert admin.post(f"{where}/password", data={"password": "bob"}).status_code == 422
    assert admin.post(f"{where}/password", data={"password": BETTER}).status_code == 303
    assert bob.post("/sign-in", data={"name": "bob", "password": BETTER}).status_code == 303
    admin.post(f"{where}/disable")
    assert bob.get("/me").status_code == 303
    assert "disabled" in admin.get("/users").text
    admin.post(f"{where}/enable")
    assert bob.post("/sign-in", data={"name": "bob", "password": BETTER}).status_code == 303


def test_the_last_administrator_is_told_to_stay(node: Headless) -> None:
    admin = client(node, "admin")
    page = admin.post("/users/1/disable")
    assert page.status_code == 409
    assert "last administrator" in page.text
    assert admin.put("/api/v1/users/1/roles", json={"roles": ["viewer"]}).status_code == 409
    assert admin.get("/users/999").status_code == 404
    assert admin.post("/users/999/disable").status_code == 404


def test_an_auditor_looks_and_finds_no_button(node: Headless) -> None:
    auditor = client(node, "auditor")
    page = auditor.get("/users/1")
    assert page.status_code == 200
    assert "/users/1/" not in page.text
    assert "/users/new" not in auditor.get("/users").text


def test_the_list_goes_on_behind_its_page(node: Headless) -> None:
    for number in range(12):
        account(node.flow, "viewer", name=f"person{number:02}")
    admin = client(node, "admin")
    first = admin.get("/api/v1/users", params={"limit": 10}).json()
    rest = admin.get("/api/v1/users", params={"limit": 10, "cursor": first["next"]}).json()
    names = [each["name"] for each in first["items"] + rest["items"]]
    assert names == sorted(names)
    assert len(names) == 13
    assert rest["next"] is None
    assert "password" not in str(first)


def test_one_changes_the_own_password_and_stays(node: Headless) -> None:
    accounts.add(node.flow, SHELL, "anna", ["viewer"], GOOD)
    here, there = client(node), client(node)
    for browser in (here, there):
        browser.post("/sign-in", data={"name": "anna", "password": GOOD})
    form = {"current": GOOD, "password": BETTER, "again": BETTER}
    for wrong in ({"again": "not that"}, {"current": "not that"}, {"password": "short", "again": "short"}):
        assert here.post("/me/password", data={**form, **wrong}).status_code == 422
    before = here.cookies[SESSION]
    done = here.post("/me/password", data=form)
    assert done.status_code == 200
    assert here.cookies[SESSION] != before
    assert sessions.person_of(node.flow, before) is None, "a copy of the cookie is worth nothing"
    assert "this one" in done.text
    assert "Your password is changed" in done.text
    assert there.get("/me").status_code == 303
    assert here.post("/api/v1/me/password", json={"current": BETTER, "new": GOOD}).status_code == 204
    assert here.get("/me").status_code == 200


def test_an_administrator_who_sets_the_own_password_stays(node: Headless) -> None:
    accounts.add(node.flow, SHELL, "anna", ["admin"], GOOD)
    here = client(node)
    here.post("/sign-in", data={"name": "anna", "password": GOOD})
    assert here.post("/users/1/password", data={"password": BETTER}).status_code == 303
    assert here.put("/api/v1/users/1/roles", json={"roles": ["admin", "viewer"]}).status_code == 204
    assert here.post("/api/v1/users/1/password", json={"password": GOOD}).status_code == 204
    assert here.get("/users/1").status_code == 200


def test_one_ends_the_own_sessions(node: Headless) -> None:
    accounts.add(node.flow, SHELL, "anna", ["viewer"], GOOD)
    here, there, further = client(node), client(node), client(node)
    for browser in (here, there, further):
        browser.post("/sign-in", data={"name": "anna", "password": GOOD})
    person = sessions.person_of(node.flow, there.cookies[SESSION])
    assert person is not None
    assert person.session is not None
    assert len(here.get("/api/v1/me/sessions").json()) == 3
    assert here.post(f"/me/sessions/{person.session[:16]}/end").status_code == 303
    assert there.get("/me").status_code == 303
    here.post("/me/sessions/end-others")
    assert further.get("/me").status_code == 303
    assert here.get("/me").status_code == 200
    further.post("/sign-in", data={"name": "anna", "password": GOOD})
    assert here.delete("/api/v1/me/sessions").json() == {"ended": 1}
    assert further.get("/me").status_code == 303
    assert here.get("/me").status_code == 200


def test_a_token_is_shown_once(node: Headless) -> None:
    browser = client(node, "operator", "viewer", name="olga")
    wrong = {"name": "nightly", "roles": ["admin"], "days": "90"}
    assert "do not have the role admin" in browser.post("/me/tokens", data=wrong).text
    assert "in days" in browser.post("/me/tokens", data={**wrong, "days": "soon"}).text
    page = browser.post("/me/tokens", data={"name": "nightly", "roles": ["operator"], "days": ""}).text
    secret = re.findall(r"dn_[\w-]{43}", page)[0]
    later = browser.get("/me").text
    assert secret not in later
    assert "nightly" in later
    token = browser.get("/api/v1/tokens").json()[0]
    assert (token["roles"], token["ends_at"], "token" in token) == (["operator"], None, False)
    assert browser.post(f"/me/tokens/{token['id']}/revoke").status_code == 303
    assert browser.delete("/api/v1/tokens/999").status_code == 404
    assert "nightly" not in browser.get("/me").text
