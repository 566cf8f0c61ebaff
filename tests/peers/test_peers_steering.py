"""Operators at work while things are sent: pause, resume, cancel, re-route, retry in bulk, probe, and the lists."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.mainflow import ANNOUNCED, destination, enhancing, send, site, wait_sent
from support.nodeproc import Node
from support.scriptedpacs import Refusal, ScriptedPacs
from support.series import make_ct_series

pytestmark = pytest.mark.peers

SLICES = 4
DELIVERY = {"backoff_first": 0.3, "backoff_cap": 1.0, "refused_seconds": 600.0}


@pytest.fixture
def pacs() -> Iterator[ScriptedPacs]:
    with ScriptedPacs(ae_title="PACS") as running:
        yield running


@pytest.fixture
def archive() -> Iterator[ScriptedPacs]:
    with ScriptedPacs(ae_title="ARCHIVE") as running:
        yield running


@pytest.fixture
def node(pacs: ScriptedPacs, archive: ScriptedPacs, tmp_path: Path) -> Iterator[Node]:
    """Everything is enhanced and goes to `pacs`; `archive` gets nothing by itself. Neither is asked to confirm."""
    destinations = [
        {**destination("pacs", "PACS", pacs.port), "confirm": "none"},
        {**destination("archive", "ARCHIVE", archive.port), "confirm": "none"},
    ]
    document = site(destinations, [enhancing("passthrough")])
    with Node(tmp_path / "node", site_yaml=document, delivery=DELIVERY, completion=ANNOUNCED) as running:
        yield running


def send_series(node: Node, folder: Path, count: int) -> None:
    for number in range(1, count + 1):
        images = make_ct_series(folder / str(number), SLICES, rows=64, seed=number, images_in_acquisition=True)
        send(node, images)


def states(node: Node, name: str = "pacs") -> dict[str, int]:
    return Counter(row["state"] for row in node.cli("deliveries", "list", "--destination", name))


def health(node: Node, name: str = "pacs") -> dict[str, Any]:
    return next(row for row in node.cli("destinations", "list") if row["name"] == name)


def test_pause_reroute_and_resume(node: Node, pacs: ScriptedPacs, archive: ScriptedPacs, tmp_path: Path) -> None:
    assert node.cli("destinations", "pause", "pacs", "--reason", "the archive moves")["changed"]
    send_series(node, tmp_path / "ct", 3)
    node.wait_until(lambda: states(node) == {"pending": 3}, 60.0, "three deliveries to wait")
    told = health(node)
    assert (told["state"], told["paused"]["reason"]) == ("paused", "the archive moves")
    assert told["deliveries"] == {"pending": 3}
    assert all("resume pacs" in row["waits_for"] for row in node.cli("deliveries", "list"))

    node.restart()
    assert pacs.asked == []
    first = min(row["id"] for row in node.cli("deliveries", "list"))
    assert node.cli("deliveries", "reroute", str(first), "--to", "archive") == {"id": first, "instances": SLICES}
    wait_sent(node, 1, "archive")
    assert sum(archive.kept.values()) == SLICES
    assert node.cli("deliveries", "show", str(first))["state"] == "cancelled"

    assert node.cli("destinations", "resume", "pacs")["changed"]
    wait_sent(node, 2)
    assert set(pacs.kept.values()) == {1}
    assert not set(pacs.kept) & set(archive.kept)
    kinds = {event["kind"] for event in node.cli("audit", "list")}
    assert {"destination.paused", "destination.resumed", "delivery.rerouted"} <= kinds


def test_cancel_and_retry_in_bulk(node: Node, pacs: ScriptedPacs, tmp_path: Path) -> None:
    pacs.always = 0xC000
    send_series(node, tmp_path / "ct", 3)
    node.wait_until(lambda: states(node) == {"failed": 3}, 60.0, "three dead letters")
    told = health(node)
    assert (told["dead_letters"], told["refused_instances"], told["state"]) == (3, 3 * SLICES, "up")
    last = max(row["id"] for row in node.cli("deliveries", "list"))
    assert node.cli("deliveries", "cancel", str(last)) == {"id": last, "instances": SLICES}

    pacs.always = 0xB000
    retried = node.cli("deliveries", "retry", "--destination", "pacs")
    assert (retried["count"], retried["instances"], retried["refused"]) == (2, 2 * SLICES, [])
    assert last not in retried["deliveries"]
    wait_sent(node, 2)
    assert states(node) == {"sent": 2, "cancelled": 1}
    assert health(node)["stored_with_warning"] == 2 * SLICES
    assert node.cli("deliveries", "show", str(retried["deliveries"][0]))["warnings"] == SLICES

    again = node.cli("deliveries", "retry", str(retried["deliveries"][0]), check=False)
    assert "is sent: only a failed one can be sent again" in again.stderr
    vague = node.cli("deliveries", "cancel", check=False)
    assert vague.returncode == 1
    assert node.cli("deliveries", "cancel", "--state", "sent", check=False).returncode == 1


def test_a_stopped_destination_is_told_and_tried_again_on_demand(
    node: Node, pacs: ScriptedPacs, tmp_path: Path
) -> None:
    pacs.refusal = Refusal.UNKNOWN_CALLER
    send_series(node, tmp_path / "ct", 2)
    node.wait_until(lambda: health(node)["state"] == "stopped", 60.0, "the stop")
    told = health(node)
    assert "configuration error" in told["reason"]
    assert told["failed_attempts"] == len(pacs.knocks) == 1
    assert told["next_attempt_at"] > told["down_since"]
    assert any("is down" in row["waits_for"] for row in node.cli("deliveries", "list"))
    probe = node.cli("destinations", "probe", "pacs", check=False)
    assert "cannot be asked" in probe.stderr
    pacs.refusal = None
    assert node.cli("destinations", "resume", "pacs")["changed"]
    wait_sent(node, 2)
    assert health(node)["state"] == "up"


def test_probe_says_what_is_taken_and_sends_nothing(node: Node, pacs: ScriptedPacs) -> None:
    told = node.cli("destinations", "probe", "pacs")
    taken = {row["sop_class"]: row["transfer_syntaxes"] for row in told["classes"]}
    assert taken["CT Image Storage"] == ["Explicit VR Little Endian", "Implicit VR Little Endian"]
    assert taken["Ultrasound Image Storage"] == []
    assert told["services"] == {"verification": True, "storage commitment": False, "query": False}
    everything = node.cli("destinations", "probe", "pacs", "--all")
    assert sum(bool(row["transfer_syntaxes"]) for row in everything["classes"]) == 2
    assert pacs.asked == []
