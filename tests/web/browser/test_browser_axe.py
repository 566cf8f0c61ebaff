"""Nobody is kept out: axe-core finds no serious fault on any page with data, dialogs open, in both themes."""

from typing import TYPE_CHECKING, Any

import pytest
from support.browser import FRONTEND, Theme
from support.pages import find_pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.peers]

OPENERS = "details.confirm > summary:visible, [data-open]:visible, button[data-confirm]:visible"
FILL = "button => button.form?.querySelectorAll('[required]').forEach((each) => { each.value ||= 'because' })"
GRAVE = ("serious", "critical")


def faults(page: "Page", where: str, *, rules: tuple[str, ...] = (), within: str = "") -> list[str]:
    """What axe has against the page as it is now; `rules`: these alone. One line for each rule."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate((FRONTEND / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8"))
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    found = page.evaluate("([within, options]) => axe.run(within || document, options)", [within, options])
    return [
        f"{where}: {each['help']}: {each['nodes'][0]['html'][:160]}; {each['nodes'][0]['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in GRAVE
    ]


def in_dialogs(page: "Page", where: str) -> list[str]:
    """The same of each dialog that the page opens, one kind of question once."""
    found: list[str] = []
    asked: set[str] = set()
    for opener in page.locator(OPENERS).all():
        words = opener.inner_text()
        if words in asked:
            continue
        asked.add(words)
        opener.evaluate(FILL)  # a form that lacks something says so instead of asking
        opener.click()
        shown = page.locator("dialog[open]")
        assert shown.count() == 1, f"{where}: {words} opens nothing"
        found += faults(page, f"{where}, {words}", within="dialog[open]")
        page.keyboard.press("Escape")
        shown.wait_for(state="hidden")
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault_on_any_page(browser: "Browser", served: Any, theme: Theme) -> None:
    found: list[str] = []
    visited = find_pages(served.visitor, each=1).pages
    # A theme changes colours alone: everything else is looked at once.
    rules = () if theme == "light" else ("color-contrast",)
    with served.visit(browser, theme=theme) as visit:
        for path in visited:
            page = visit.open(path)
            page.evaluate("for (const each of document.querySelectorAll('details:not(.confirm)')) each.open = true")
            found += faults(page, path, rules=rules)
            if theme == "light":
                found += in_dialogs(page, path)
    assert found == []
    assert len(visited) > 20


def test_axe_finds_no_serious_fault_before_sign_in(browser: "Browser", served: Any) -> None:
    for theme in ("light", "dark"):
        with served.visit(browser, secret="", theme=theme) as visit:
            assert faults(visit.open("/sign-in"), f"/sign-in {theme}") == []
