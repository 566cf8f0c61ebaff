"""A real Chromium, in which somebody is signed in; what it complains about fails the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

CHROMIUM = Path("/usr/bin/chromium")
WITHOUT_BROWSER = "DICOMNODE_TESTS_WITHOUT_BROWSER"
COOKIE = "dicomnode_session"
FRONTEND = Path(__file__).resolve().parents[2] / "dicomnode/web/frontend"
NARROW, WIDE = (1280, 800), (1920, 1080)
PATIENCE = 120_000
"""Milliseconds that a browser and its pages are waited for: what is tested is what they do, not how fast."""

Theme = Literal["light", "dark"]


@contextmanager
def chromium() -> Iterator["Browser"]:
    """One browser process. Playwright keeps an event loop in this thread meanwhile: one module at a time."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.fail(f"this test needs Chromium at {CHROMIUM}: install it, or set {WITHOUT_BROWSER}=1 to leave it out")
    with sync_playwright() as driver:
        # Neither a sandbox nor shared memory is to be had in a container; nothing but this machine is visited.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"]
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=arguments, timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A window of the node's pages. `faults` are errors on the console (violations of the CSP among them), exceptions
    in scripts, and answers of 400 and above that were not `expected`."""

    context: "BrowserContext"
    page: "Page"
    url: str
    faults: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def open(self, path: str) -> "Page":
        """Go to a page, and wait until it is there with all that it loads."""
        self.page.goto(self.url + path, wait_until="load")
        return self.page

    def answered(self, path: str) -> int:
        """The status of a page that is opened."""
        response = self.page.goto(self.url + path, wait_until="load")
        assert response is not None
        return response.status

    def listen(self, page: "Page") -> None:
        """Collect what this page complains about."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("response", self._response)

    def _console(self, message: "ConsoleMessage") -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"{self.page.url}: {message.text}")

    def _response(self, response: "Response") -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.faults.append(f"{response.request.method} {response.url}: {response.status}")


@contextmanager
def visiting(
    browser: "Browser",
    url: str,
    *,
    secret: str = "",
    theme: Theme = "light",
    size: tuple[int, int] = NARROW,
    expected: set[int] | None = None,
    **options: Any,
) -> Iterator[Visit]:
    """A fresh window on the node at `url`, signed in by a session's `secret`; fails at its end if there were faults."""
    width, height = size
    context = browser.new_context(
        color_scheme=theme, viewport={"width": width, "height": height}, locale="en-GB", **options
    )
    context.set_default_timeout(PATIENCE)
    if secret:
        name = urlsplit(url).hostname or ""
        context.add_cookies([{"name": COOKIE, "value": secret, "domain": name, "path": "/", "httpOnly": True}])
    visit = Visit(context, context.new_page(), url, expected=expected or set())
    visit.listen(visit.page)
    try:
        yield visit
        assert visit.faults == []
    finally:
        context.close()
