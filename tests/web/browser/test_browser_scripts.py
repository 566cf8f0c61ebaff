"""What comes from scanners, peers and people never runs in a browser, and no other site can act through one."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.browser import Visit
from support.house import IMAGE, SCRIPT
from support.pages import find_pages

from dicomnode.desk import switch
from dicomnode.desk.person import Person

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.peers, pytest.mark.timeout(600)]

INJECTED = (
    "script:not([src]), img[src='x'], [onclick], [onerror], dd b, td b, th b, a[href^='javascript:'], main i[onclick]"
)


def test_a_script_in_any_name_never_runs(browser: "Browser", served: Any) -> None:
    """Names of patients, studies, AE titles, rules and people are scripts here. The CSP would stop what is written
    into a page as it is; that nothing had to be stopped is told by the console, which stays silent.
    """
    shown: set[str] = set()
    with served.visit(browser) as visit:
        for path, route in find_pages(served.visitor).pages.items():
            page = visit.open(path)
            assert page.evaluate("window.ran") is None, f"a script ran on {path}"
            assert page.locator(INJECTED).count() == 0, f"{path} has elements of a name"
            if SCRIPT in page.content().replace("&lt;", "<").replace("&gt;", ">"):
                shown.add(route)
        for path in ("/series?q=", "/audit?text=", "/rules?q="):
            visit.expected = {400, 404, 422}
            page = visit.open(
                path + "%3Cscript%3Ewindow.ran%3D1%3C/script%3E%22%3E%3Cimg src=x onerror=window.ran=1%3E"
            )
            assert page.evaluate("window.ran") is None
            assert page.locator(INJECTED).count() == 0
    assert {"/", "/series", "/series/{uid}", "/rules", "/audit", "/users"} <= shown, "the scripts were to be seen"
    assert IMAGE


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another site: a page of another origin, at which somebody who is signed in here may look."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title><h1>kittens</h1>")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


FORM = """([action, name, value]) => {
    const form = Object.assign(document.createElement("form"), {method: "post", action});
    form.append(Object.assign(document.createElement("input"), {name, value}));
    document.body.append(form);
    form.submit();
}"""
FETCH = """async (action) => fetch(action, {
    method: "POST", mode: "no-cors", credentials: "include", body: new URLSearchParams({reason: "mischief"}),
}).then(() => "answered", () => "not for this site")"""


def test_another_site_cannot_post_in_somebodys_name(window: Visit, served: Any, elsewhere: str) -> None:
    """A site on the same host at another port gets even SameSite cookies sent: the origin is what tells it apart."""
    window.expected = {403}
    page, flow = window.page, served.node.flow
    for site in (elsewhere, elsewhere.replace("127.0.0.1", "localhost")):
        page.goto(site)
        assert page.evaluate(FETCH, f"{served.url}/system/enhancing/stop") == "not for this site"
        with page.expect_navigation(url="**/system/enhancing/stop") as answered:
            page.evaluate(FORM, [f"{served.url}/system/enhancing/stop", "reason", "mischief"])
        assert answered.value.status == 403
        assert switch.stopped(flow) is None
    window.open("/system")
    with page.expect_navigation(url="**/system"):
        page.evaluate(FORM, [f"{served.url}/system/enhancing/stop", "reason", "a reason of ours"])
    assert switch.stopped(flow) is not None, "the same form of our own page is taken"
    switch.start(flow, Person("root", (), "command line"))
