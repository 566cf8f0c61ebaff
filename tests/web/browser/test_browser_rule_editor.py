"""The editor of a rule in a real browser: by the keyboard alone, and without JavaScript."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import PATIENCE, Visit, visiting
from support.pastseries import remember
from support.peers import free_port
from support.webapp import Headless, account, headless, session_of

from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.publish import import_site
from dicomnode.web.application import create_app
from dicomnode.web.server import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PACS = {"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Headless]:
    node = headless(tmp_path)
    import_site(node.flow, Person("root", (), "command line"), {"destinations": [PACS], "rules": []}, "set up")
    for number in range(1, 5):
        remember(node.flow, number, Manufacturer="ACME")
    yield node
    node.flow.database.close()


@pytest.fixture
def url(node: Headless) -> Iterator[str]:
    port = free_port()
    server = WebServer(create_app(node), "127.0.0.1", port)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def window(browser: "Browser", node: Headless, url: str) -> Iterator[Visit]:
    with visiting(browser, url, secret=session_of(node.flow, account(node.flow, "admin", name="amelie"))) as visit:
        yield visit


def focused(page: "Page") -> str:
    return str(page.evaluate("document.activeElement.id"))


def until_focused(page: "Page", name: str) -> None:
    page.wait_for_function("name => document.activeElement.id === name", arg=name)


def onward_to(page: "Page", name: str, key: str = "Tab") -> None:
    """Press Tab until the control has the focus; it must be within reach."""
    for _ in range(80):
        if focused(page) == name:
            return
        page.keyboard.press(key)
    pytest.fail(f"{name} is not reached by {key}")


MARKED = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.dataset.value"
"""The choice of the search that Enter would take."""


def choose(page: "Page", text: str, value: str) -> None:
    """Type what a choice says; from its beginning again where it was typed so slowly that it was taken for two."""
    place = focused(page)
    for _ in range(10):
        page.keyboard.type(text)
        if page.input_value(f"[id='{place}']") == value:
            return
        page.wait_for_timeout(1500)  # after a second browsers take a letter for the first one
    pytest.fail(f"{text} is not chosen at {place}")


def search(page: "Page", text: str, choice: str) -> None:
    """Write into the search and take the choice with the arrow keys."""
    place = focused(page)
    # In one piece: what a part of the text finds would be offered as well, and make room for this, choice and all.
    page.keyboard.insert_text(text)
    page.wait_for_selector(f"[id='{place}-options'] li[data-value='{choice}']")
    for _ in range(20):
        page.keyboard.press("ArrowDown")
        if page.evaluate(MARKED) == choice:
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(f"[id='{place}'][value='{choice}']")
    until_focused(page, place)


def test_a_rule_with_a_nested_group_is_built_by_the_keyboard_alone(window: Visit, node: Headless) -> None:
    page = window.open("/rules/new")
    until_focused(page, "name")
    page.keyboard.type("thin slices")
    onward_to(page, "when.0.attribute")
    search(page, "manufac", "Manufacturer")
    assert page.locator("[id='when.0.seen'] option").get_attribute("value") == "ACME"
    onward_to(page, "when.0.value.0")
    page.keyboard.type("ACME")
    onward_to(page, "group-when")
    page.keyboard.press("Enter")
    until_focused(page, "when.1.0.attribute")
    assert page.input_value("[id='when.0.value.0']") == "ACME"
    search(page, "0018,0050", "SliceThickness")
    onward_to(page, "when.1.0.operator")
    choose(page, "is between", "between")
    page.wait_for_selector("[id='when.1.0.value.1']")
    onward_to(page, "when.1.0.value.0")
    page.keyboard.type("0.5")
    page.keyboard.press("Tab")
    page.keyboard.type("1.5")
    onward_to(page, "add-when.1")
    page.keyboard.press("Enter")
    until_focused(page, "when.1.1.attribute")
    search(page, "instance_c", "instance_count")
    onward_to(page, "when.1.1.operator")
    choose(page, "is at least", "ge")
    onward_to(page, "when.1.1.value.0")
    page.keyboard.type("20")
    onward_to(page, "add-when.1")
    page.keyboard.press("Enter")
    until_focused(page, "when.1.2.attribute")
    onward_to(page, "remove-when.1.2")
    page.keyboard.press("Enter")
    until_focused(page, "when.1.1.attribute")
    onward_to(page, "up-when.1", "Tab")
    page.keyboard.press("Space")
    until_focused(page, "when.0.kind")
    onward_to(page, "pipeline")
    choose(page, "passthrough", "passthrough")
    page.wait_for_selector("text=This pipeline takes no parameters.")
    page.get_by_role("button", name="Save into the draft").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/rules/draft?saved=thin+slices")
    rule = read_draft(node.flow).site.rules[0].to_document()
    assert rule["when"] == {
        "all": [
            {
                "any": [
                    {"attribute": "SliceThickness", "between": [0.5, 1.5]},
                    {"fact": "instance_count", "ge": 20},
                ]
            },
            {"attribute": "Manufacturer", "equals": "ACME"},
        ]
    }
    assert rule["enhance"] == {"pipeline": "passthrough"}
    assert window.faults == []


def test_escape_and_enter_in_the_search_do_what_people_expect(window: Visit, node: Headless) -> None:
    page = window.open("/rules/new")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if request.method == "POST" else None)
    page.focus("[id='when.0.attribute']")
    page.keyboard.type("SliceTh")
    page.wait_for_selector("[id='when.0.attribute-options'] li")
    assert page.get_attribute("[id='when.0.attribute']", "aria-expanded") == "true"
    page.keyboard.press("Escape")
    assert page.get_attribute("[id='when.0.attribute']", "aria-expanded") == "false"
    assert page.input_value("[id='when.0.attribute']") == "SliceTh"
    page.keyboard.press("Enter")
    page.wait_for_selector("#findings")
    until_focused(page, "findings")
    assert "Did you mean" in page.inner_text("#findings")
    assert read_draft(node.flow).site.rules == ()
    page.get_by_role("button", name="YAML").press("Enter")
    until_focused(page, "yaml")
    assert len(sent) == 2, "a check and a change of view: nothing took the findings away in between"
    assert "SliceTh" in page.input_value("#yaml")
    page.get_by_role("button", name="Rows").press("Enter")
    page.wait_for_selector("[id='when.0.attribute']")


def test_without_javascript_every_button_works(browser: "Browser", node: Headless, url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    secret = session_of(node.flow, account(node.flow, "operator", name="otto"))
    context.add_cookies([{"name": "dicomnode_session", "value": secret, "url": url}])
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{url}/rules/new")
    page.fill("#name", "plain")
    page.fill("[id='when.0.attribute']", "Modality")
    page.fill("[id='when.0.value.0']", "CT")
    with page.expect_navigation():
        page.click("#add-when")
    page.fill("[id='when.1.attribute']", "instance_count")
    page.select_option("#pipeline", "passthrough")
    with page.expect_navigation():
        page.click("text=Show its parameters")
    page.select_option("[id='when.1.operator']", "ge")
    page.fill("[id='when.1.value.0']", "3")
    page.click("text=Save into the draft")
    page.wait_for_url("**/rules/draft?saved=plain")
    assert read_draft(node.flow).site.rules[0].to_document()["when"] == {
        "all": [{"attribute": "Modality", "equals": "CT"}, {"fact": "instance_count", "ge": 3}]
    }
    context.close()


def test_who_is_signed_out_meanwhile_loses_nothing(window: Visit, node: Headless) -> None:
    page = window.open("/rules/new")
    page.fill("#name", "written at night")
    page.fill("[id='when.0.attribute']", "Modality")
    page.fill("[id='when.0.value.0']", "CT")
    page.wait_for_selector("[id='when.0.attribute'][value='Modality']")  # the form has come back with what it offers
    page.check("input[name=forward_original_to][value=pacs]")
    (signed_in,) = window.context.cookies()
    window.expected = {401}
    window.context.clear_cookies()
    for action, button in (("check", "Check"), ("save", "Save into the draft")):
        asked = f"action={action}"
        with page.expect_response(lambda answer, asked=asked: asked in (answer.request.post_data or "")) as told:
            page.get_by_role("button", name=button, exact=True).last.click()
        # no redirect: followed in the moment of the next sign-in, it would end at Today, and take the form away
        assert told.value.status == 401
        page.get_by_role("status").get_by_text("You are signed out. What you wrote is still here.").wait_for()
    assert page.get_attribute("#told a", "href") == "/sign-in"
    assert page.input_value("#name") == "written at night"
    window.context.add_cookies([signed_in])
    page.get_by_role("button", name="Save into the draft").click()
    page.wait_for_url("**/rules/draft?*")
    assert [rule.name for rule in read_draft(node.flow).site.rules] == ["written at night"]
