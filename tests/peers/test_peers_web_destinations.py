"""A running node and a real Orthanc, through the pages: C-ECHO, probe, and a pause that holds what is to be sent."""

import html
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.mainflow import ANNOUNCED, destination, enhancing, send, site, wait_sent
from support.nodeproc import Node
from support.peers import Orthanc
from support.series import make_ct_series

pytestmark = pytest.mark.peers

PASSWORD = "a long enough password"
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture
def node(orthanc: Orthanc, tmp_path: Path) -> Iterator[Node]:
    """Whatever comes is copied by `passthrough` and goes to Orthanc."""
    pacs = {**destination("pacs", orthanc.ae_title, orthanc.dicom_port), "confirm": "none"}
    document = site([pacs], [enhancing("passthrough")])
    with Node(tmp_path / "node", site_yaml=document, completion=ANNOUNCED) as running:
        yield running


@pytest.fixture
def anna(node: Node) -> Iterator[httpx.Client]:
    """A browser in which an operator has signed in."""
    add = ["users", "add", "anna", "--role", "operator", "--password-stdin", "--config", str(node.config)]
    command = [sys.executable, "-m", "dicomnode", *add]
    subprocess.run(command, cwd=node.root, env=node.env, input=f"{PASSWORD}\n", text=True, check=True, timeout=60)
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": node.url}
    with httpx.Client(base_url=node.url, headers=headers, timeout=60.0, trust_env=False) as browser:
        assert browser.post("/sign-in", data={"name": "anna", "password": PASSWORD}).status_code == 303
        yield browser


def test_echo_probe_and_pause(node: Node, orthanc: Orthanc, anna: httpx.Client, tmp_path: Path) -> None:
    page = html.unescape(anna.post("/destinations/pacs/echo").text)
    assert "It answers." in page
    assert f"at 127.0.0.1:{orthanc.dicom_port}" in page
    answer = anna.post("/api/v1/destinations/pacs/probe", json={}).json()
    assert EXPLICIT in answer["classes"][CT]
    assert answer["services"]["verification"]
    assert "CT Image Storage" in anna.post("/destinations/pacs/probe").text
    assert orthanc.instance_count() == 0

    assert anna.post("/destinations/pacs/pause", data={"reason": "it moves"}).status_code == 303
    send(node, make_ct_series(tmp_path / "ct", 3, rows=64, images_in_acquisition=True))
    waiting = node.wait_until(
        lambda: anna.get("/api/v1/deliveries?state=pending&destination=pacs").json()["items"], 60.0, "a delivery"
    )
    assert waiting[0]["waits_for"].startswith("the destination, which is paused: by anna")
    assert "it moves" in anna.get(f"/queue/deliveries/{waiting[0]['id']}").text
    assert anna.get(f"/queue/{waiting[0]['enhancement_id']}").status_code == 200
    assert orthanc.instance_count() == 0

    assert anna.post("/destinations/pacs/resume").status_code == 303
    wait_sent(node, 1)
    assert orthanc.instance_count() == 3
    told = {(event["kind"], event["actor"]) for event in node.cli("audit", "list")}
    assert {(f"destination.{kind}", "anna") for kind in ("asked", "paused", "resumed")} <= told
