"""Nobody is kept out: axe-core finds no serious fault on any page with data, dialogs open, in both themes."""

from typing import TYPE_CHECKING, Any

import pytest
from support.browser import FRONTEND, Theme
from support.pages import find_pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.peers, pytest.mark.timeout(600)]

OPENERS = "details.confirm > summary:visible, [data-open]:visible, button[data-confirm]:visible"
FILL_AND_CLICK = """button => {
    button.form?.querySelectorAll("[required]").forEach((each) => { each.value ||= "because" });
    button.click();
}"""
ATTEMPTS = 5
"""A page that renews itself may take the button away in the moment in which it is pressed."""
GRAVE = ("serious", "critical")
THEMES: tuple[Theme, ...] = ("light", "dark")


def faults(page: "Page", where: str, within: str = "") -> list[str]:
    """What axe has against the page as it is now, in each theme. One line for each rule.

    A theme is a matter of style sheets: it is changed under the open page, or the open dialog, as people's systems do.
    """
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate((FRONTEND / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8"))
    found = []
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        run = "within => axe.run(within || document, {resultTypes: ['violations']})"
        violations: list[dict[str, Any]] = page.evaluate(run, within)["violations"]
        found += [
            f"{where}, {theme}: {each['help']}: {each['nodes'][0]['html'][:160]}; {each['nodes'][0]['failureSummary']}"
            for each in violations
            if each["impact"] in GRAVE
        ]
    return found


def in_dialogs(page: "Page", where: str) -> list[str]:
    """The same of each dialog that the page opens, one kind of question once."""
    found: list[str] = []
    asked: set[str] = set()
    for opener in page.locator(OPENERS).all():
        words = opener.inner_text()
        if words in asked:
            continue
        asked.add(words)
        opener.click(trial=True)
        shown = page.locator("dialog[open]")
        for _ in range(ATTEMPTS):
            # A form that lacks something says so instead of asking; in one step, for a renewal of the page empties it.
            opener.evaluate(FILL_AND_CLICK)
            if shown.count():
                break
        assert shown.count() == 1, f"{where}: {words} opens nothing"
        found += faults(page, f"{where}, {words}", within="dialog[open]")
        page.keyboard.press("Escape")
        shown.wait_for(state="hidden")
    return found


@pytest.fixture(scope="module")
def found_pages(served: Any) -> list[str]:
    """Every kind of page once."""
    visited = list(find_pages(served.visitor, each=1).pages)
    assert len(visited) > 20
    return visited


@pytest.mark.parametrize("half", [0, 1])
def test_axe_finds_no_serious_fault_on_any_page(
    browser: "Browser", served: Any, found_pages: list[str], half: int
) -> None:
    found: list[str] = []
    with served.visit(browser) as visit:
        for path in found_pages[half::2]:
            page = visit.open(path)
            page.evaluate("for (const each of document.querySelectorAll('details:not(.confirm)')) each.open = true")
            found += faults(page, path) + in_dialogs(page, path)
    assert found == []


def test_axe_finds_no_serious_fault_before_sign_in(browser: "Browser", served: Any) -> None:
    with served.visit(browser, secret="") as visit:
        assert faults(visit.open("/sign-in"), "/sign-in") == []
