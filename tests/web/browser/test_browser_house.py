"""The administrator's first day, in a real browser, with a real node, a real scanner's files and a real PACS.

First run, sign-in, a destination that answers, a rule tried on two hundred series before it acts, as a shadow, live; a
study that arrives on Today without a reload, its story and its audit rows; a change, its difference, and the way back.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from sqlalchemy import func, select
from support.browser import chromium, visiting
from support.instances import ct_template
from support.mainflow import add_pipeline, held_of, metric, send, series_uid, wait_sent
from support.nodeproc import Node
from support.peers import Orthanc
from support.rawsend import RawSender
from support.series import make_ct_series

from dicomnode.db.database import Database
from dicomnode.db.models import Series
from dicomnode.settings import load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.peers, pytest.mark.torch, pytest.mark.timeout(600)]

PASSWORD = "quiet lantern over the harbour"
PAST = 200
PRESS = """words => [...document.querySelectorAll("button")]
    .find((each) => each.checkVisibility() && each.textContent.trim() === words).click()"""
"""In one step: a page that renews itself between a press and its release would take the button away."""


@dataclass
class Desk:
    """Amelie at the pages of her node."""

    page: "Page"
    node: Node
    pacs: Orthanc

    def go(self, name: str) -> None:
        """By the navigation of every page."""
        with self.page.expect_navigation():
            self.page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click(trial=True)
        self.page.evaluate(PRESS, name)

    def follow(self, name: str | re.Pattern[str]) -> None:
        self.go_by(self.page.get_by_role("link", name=name).first)

    def go_by(self, link: "Locator") -> None:
        """By this link, though the list that it is in renews itself."""
        link.click(trial=True)
        with self.page.expect_navigation():
            link.evaluate("link => link.click()")

    def fill(self, **fields: str) -> None:
        """Fields by their labels, spaces for underscores."""
        for label, value in fields.items():
            self.page.get_by_label(label.replace("_", " "), exact=True).fill(value)

    def sees(self, text: str | re.Pattern[str]) -> None:
        self.page.get_by_text(text).first.wait_for()

    def publish(self, comment: str) -> str:
        """Replay the draft, read what it says, and publish it; returns what it said."""
        self.page.get_by_role("button", name=re.compile("^Replay")).click()
        self.page.get_by_role("button", name="Publish: in force at once").wait_for()
        said = self.page.locator("#trial").inner_text()
        self.fill(Comment=comment)
        self.press("Publish: in force at once")
        self.sees("is in force.")
        return said


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """First run: an administrator is made, the node starts, and knows no rule. Series have come in all the same."""
    # Studies say how many images they have: by quiet time a machine that pauses would make two series of one.
    completion = {"quiet_seconds": 120.0, "grace_seconds": 0.1, "per_sender": {"CT1": 1.0}}
    node = Node(tmp_path / "node", completion=completion)
    add_pipeline(node)
    command = [sys.executable, "-m", "dicomnode", "users", "add", "amelie", "--role", "admin", "--password-stdin"]
    subprocess.run(command, input=PASSWORD, text=True, check=True, env=node.env, cwd=node.root, capture_output=True)
    with node:
        template = ct_template(rows=32)
        with RawSender("127.0.0.1", node.dicom_port, node.ae_title, "CT1") as scanner:
            for number in range(1, PAST + 1):
                one = template.instance(number, 1)
                assert scanner.store(one.sop_class, one.sop_uid, one.transfer_syntax, one.data_set) == 0
        node.wait_until(lambda: complete(node) == PAST, 240.0, f"{PAST} series to be complete")
        yield node


def complete(node: Node) -> int:
    """How many series are complete, straight from the database."""
    database = Database(load_settings(node.config).database.url)
    with database.read() as session:
        found = session.scalar(select(func.count()).select_from(Series).where(Series.state == "complete"))
    database.close()
    return found or 0


def test_the_first_day_of_an_administrator(node: Node, orthanc: Orthanc, tmp_path: Path) -> None:
    with chromium() as browser, visiting(browser, node.url, expected={401}) as visit:
        desk = Desk(visit.page, node, orthanc)
        sign_in(desk)
        a_destination_that_answers(desk)
        a_rule_as_a_shadow(desk)
        first = study_of(tmp_path / "first", 1, "Chest low dose")
        send(node, first)
        the_rule_goes_live(desk)
        second = study_of(tmp_path / "second", 2, "Chest low dose II")
        a_study_arrives(desk, second)
        an_edit_and_the_way_back(desk)


def study_of(folder: Path, seed: int, description: str) -> list[Path]:
    """Three images, which say so."""
    told = {"images_in_acquisition": True, "description": description}
    return make_ct_series(folder, 3, rows=64, seed=seed, study=description, **told)  # type: ignore[arg-type]


def sign_in(desk: Desk) -> None:
    desk.page.goto(desk.node.url)
    assert desk.page.url.endswith("/sign-in")
    desk.fill(Name="amelie", Password=PASSWORD)
    desk.press("Sign in")
    desk.page.get_by_role("heading", name="Today").wait_for()


def a_destination_that_answers(desk: Desk) -> None:
    desk.go("Destinations")
    desk.follow("Add a destination")
    desk.fill(Name="pacs", AE_title="ORTHANC", Host="127.0.0.1", Port=str(desk.pacs.dicom_port))
    desk.press("Save into the draft")
    desk.publish("The PACS of the house")
    desk.follow("To the destinations")
    desk.follow("pacs")
    desk.press("C-ECHO")
    desk.sees("It answers.")


def a_rule_as_a_shadow(desk: Desk) -> None:
    """Written in rows; the replay says of two hundred series what it would have done."""
    desk.go("Rules")
    desk.follow("New rule")
    page = desk.page
    page.locator("html.scripted").wait_for()  # who types before the search is there is offered nothing
    desk.fill(Name="low-dose chest CT")
    page.get_by_label("State", exact=True).select_option("shadow")
    condition(page, 1, "Modality", "equals", "CT")
    condition(page, 2, "SeriesDescription", "contains", "low dose")
    page.get_by_label("Pipeline", exact=True).select_option("soften")
    page.get_by_text("This pipeline takes no parameters.").wait_for()
    page.get_by_role("checkbox", name="pacs").first.check()
    desk.press("Save into the draft")
    desk.sees("is in the draft")
    said = desk.publish("Low-dose CT, measured first")
    assert str(PAST) in said


def condition(page: "Page", number: int, attribute: str, operator: str, value: str) -> None:
    """Row `number` of the rule; its attribute is searched for and taken from the list by the keyboard."""
    if number > 1:
        page.get_by_role("button", name="Add a condition: to the rule").click()
    subject = page.get_by_label(f"Attribute or fact of condition {number}", exact=True)
    # In one piece: what a part of the text finds would be offered as well, and make room for this, choice and all.
    subject.fill(attribute)
    page.get_by_role("option", name=re.compile(f"^{attribute}")).first.wait_for()
    subject.press("ArrowDown")
    subject.press("Enter")
    page.wait_for_selector(f"[id='{subject.get_attribute('id')}'][value='{attribute}']")
    chosen = page.get_by_label(f"Operator of condition {number}", exact=True)
    if chosen.input_value() != operator:
        page.evaluate("document.getElementById('editor').dataset.old = 'yes'")
        chosen.select_option(operator)
        page.wait_for_selector("#editor:not([data-old])")  # what is pressed while it comes back is lost
    page.get_by_label(f"Value of condition {number}", exact=True).fill(value)


def the_rule_goes_live(desk: Desk) -> None:
    """What it did as a shadow is seen first: one series was measured, and nothing was sent."""
    measured = lambda: metric(desk.node, "dicomnode_enhancements", state="done") >= 1  # noqa: E731
    desk.node.wait_until(measured, 120.0, "the shadow to be measured")
    assert desk.pacs.instance_count() == 0
    desk.go("Rules")
    desk.follow("Draft")
    desk.follow("Go live: low-dose chest CT")
    desk.sees("What it did as a shadow")
    desk.press("Live in the draft")
    said = desk.publish("Measured; acts from now on")
    assert f"{PAST + 1}" in said


def a_study_arrives(desk: Desk, files: list[Path]) -> None:
    """On Today, which nobody reloads; then its story, to the PACS; then its rows of the audit log."""
    page = desk.page
    desk.go("Today")
    page.evaluate("window.untouched = true")
    send(desk.node, files)
    # Among the arrivals: a job that runs is listed with its series as well.
    arrived = page.get_by_role("region", name="Arrivals").get_by_role("link", name="Chest low dose II")
    arrived.wait_for()
    assert page.evaluate("window.untouched"), "the page was loaded anew"
    study = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    desk.node.wait_until(lambda: len(held_of(desk.pacs, study)) == 3, 120.0, "the derived series in the PACS")
    wait_sent(desk.node, 1)  # its story and the audit log are read once
    desk.go_by(arrived)
    page.get_by_role("heading", name="Chest low dose II").wait_for()
    for words in ("3 instances from", "is complete, of 3 instances", "1 rule matched", "The derived series to pacs"):
        desk.sees(words)
    desk.follow("Its audit events")
    for words in ("took soften", "3 derived instances", "pacs took 3 of 3 instances"):
        desk.sees(words)
    assert series_uid(files[0]) in page.url


def an_edit_and_the_way_back(desk: Desk) -> None:
    page = desk.page
    desk.go("Rules")
    desk.follow("low-dose chest CT")
    page.get_by_label("Value of condition 2", exact=True).fill("ultra low dose")
    desk.press("Save into the draft")
    difference = page.locator(".diff").first
    assert "ultra low dose" in difference.inner_text()
    said = desk.publish("Only the ultra low ones")
    assert "lose" in said.lower()
    assert "ultra low dose" in page.locator(".diff").first.inner_text()
    desk.follow("Revisions")
    desk.follow("Roll back to revision 3")
    assert "ultra low dose" in page.locator(".diff").first.inner_text()
    desk.press("Roll back now")
    desk.sees("Revision 5")
    assert "ultra" not in desk.node.cli("site", "export", as_json=False)
    events = {event["kind"] for event in desk.node.cli("audit", "list", "--limit", "1000")}
    assert {"site.published", "site.rolled_back", "replay.finished"} <= events
