"""What pages do beyond their forms: choosing rows, asking first, renewing themselves, and saying when they cannot."""

from typing import Any

import pytest
from support.browser import Visit, visiting

from dicomnode.desk import switch
from dicomnode.desk.person import Person

pytestmark = [pytest.mark.browser, pytest.mark.peers, pytest.mark.timeout(600)]

ROOT = Person("root", (), "command line")
CLICK = "([selector, index]) => document.querySelectorAll(selector)[index].click()"
"""In one step: a list that renews itself between a press and its release would take the box away."""


def test_what_was_chosen_outlives_a_renewal_of_the_list(window: Visit) -> None:
    page = window.open("/queue")
    boxes, head = page.locator("tbody .choose input"), page.locator("[data-choose-all]")
    page.evaluate(CLICK, ["tbody .choose input", 1])
    assert head.evaluate("box => [box.checked, box.indeterminate]") == [False, True]
    page.evaluate("document.querySelector('table.list').dataset.old = 'yes'")
    page.locator("table.list:not([data-old])").wait_for()
    assert [box.is_checked() for box in boxes.all()].index(True) == 1
    assert head.evaluate("box => [box.checked, box.indeterminate]") == [False, True]
    page.evaluate(CLICK, ["[data-choose-all]", 0])
    assert all(box.is_checked() for box in boxes.all())


def test_a_button_that_cannot_be_taken_back_asks_first(window: Visit, served: Any) -> None:
    page = window.open("/system")
    page.get_by_label("Why").fill("ghosts in the liver")
    page.get_by_role("button", name="Stop enhancing").click()
    shown = page.get_by_role("dialog")
    shown.get_by_role("button", name="Back").click()
    shown.wait_for(state="hidden")
    assert switch.stopped(served.node.flow) is None
    page.get_by_role("button", name="Stop enhancing").click()
    with page.expect_navigation():
        shown.get_by_role("button", name="Stop enhancing").click()
    assert page.get_by_role("status").filter(has_text="ghosts in the liver").first.is_visible()
    window.open("/")
    assert "ghosts in the liver" in page.locator(".banner").first.inner_text(), "every page says so"
    switch.start(served.node.flow, ROOT)


def test_pages_work_without_javascript(browser: Any, served: Any) -> None:
    with visiting(browser, served.url, secret=served.secret, java_script_enabled=False) as visit:
        page = visit.open("/system")
        page.get_by_label("Why").fill("no script here")
        with page.expect_navigation():
            page.get_by_role("button", name="Stop enhancing").click()
        assert switch.stopped(served.node.flow) is not None
        switch.start(served.node.flow, ROOT)
        page = visit.open("/destinations/pacs")
        page.get_by_text("Pause…").click()
        with page.expect_navigation():
            page.get_by_role("button", name="Pause", exact=True).click()
        assert "paused" in page.locator("main").inner_text()


def test_a_page_says_that_the_node_does_not_answer(window: Visit) -> None:
    page = window.open("/")
    banner = page.locator("#offline")
    assert banner.is_hidden()
    page.route("**/today/live**", lambda route: route.abort())
    banner.wait_for(state="visible")
    page.unroute("**/today/live**")
    banner.wait_for(state="hidden")
    window.faults.clear()  # Chromium tells of the request that was cut off
