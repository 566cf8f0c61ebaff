"""Sign-in in a real browser: by password, and by a real provider, under the policy that every page has."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.browser import visiting
from support.oidc import SECRET, Person, provider
from support.peers import free_port
from support.webapp import Headless, headless

from dicomnode.desk.accounts import accounts
from dicomnode.desk.person import Person as Somebody
from dicomnode.web.access.cookies import SESSION
from dicomnode.web.application import create_app
from dicomnode.web.server import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

GOOD = "correct horse battery"


@dataclass(frozen=True)
class Door:
    """A node with an administrator and a provider, behind a real port."""

    node: Headless
    url: str


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    port = free_port()
    url = f"http://localhost:{port}"
    people = {"u1": Person("ursula", ("radiology",)), "u2": Person("walter", ())}
    with provider(f"{url}/sign-in/back", people) as issuer:
        oidc = {
            "issuer": issuer,
            "client_id": "dicomnode",
            "client_secret": SECRET,
            "scopes": ["openid", "profile", "groups"],
            "roles": {"radiology": "radiologist"},
        }
        node = headless(tmp_path_factory.mktemp("door"), web={"public_url": url, "oidc": oidc})
        accounts.add(node.flow, Somebody("a test", (), "command line"), "anna", ["admin"], GOOD)
        server = WebServer(create_app(node), "127.0.0.1", port)
        server.start()
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("dicomnode.web.access.provider.SECONDS", 60.0)
                yield Door(node, url)
        finally:
            server.stop()
            node.flow.database.close()


def test_a_password_leads_to_the_page_that_was_wanted_and_sign_out_away_from_it(browser: "Browser", door: Door) -> None:
    with visiting(browser, door.url, expected={401}) as visit:
        page = visit.open("/me")
        for password in ("wrong wrong wrong", GOOD):
            page.get_by_label("Name").fill("anna")
            page.get_by_label("Password").fill(password)
            with page.expect_navigation():
                page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{door.url}/me")
        cookie = next(each for each in visit.context.cookies() if each["name"] == SESSION)
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        assert cookie["value"] not in page.evaluate("document.cookie")
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.wait_for_url(f"{door.url}/sign-in")
        visit.open("/me")
        assert page.url == f"{door.url}/sign-in?next=/me"


def at_the_provider(browser: "Browser", door: Door, login: str) -> tuple[str, str]:
    """Sign in by the provider, on the way to one's own account. Returns where that ends, and what is read there."""
    with visiting(browser, door.url, expected={403}) as visit:
        page = visit.open("/me")
        page.get_by_role("link", name="Sign in with the hospital").click()
        page.locator("input[name=login]").fill(login)
        page.locator("input[name=password]").fill("any")
        for _ in ("sign in there", "let this node know"):
            with page.expect_navigation():
                page.locator("button[type=submit]").click()
        page.wait_for_url(f"{door.url}/**")
        return page.url.removeprefix(door.url).partition("?")[0], page.locator("main").inner_text()


def test_the_provider_sends_people_back_as_who_they_are(browser: "Browser", door: Door) -> None:
    where, read = at_the_provider(browser, door, "u1")
    assert where == "/me"
    assert "ursula" in read
    assert "radiologist" in read


def test_who_is_in_no_group_reads_why(browser: "Browser", door: Door) -> None:
    where, read = at_the_provider(browser, door, "u2")
    assert where == "/sign-in/back"
    assert "none of your groups" in read
