"""The node asks a real PACS whether it keeps what it took: Orthanc that knows the node, and Orthanc as it comes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from support.mainflow import ANNOUNCED, destination, enhancing, rewriting, send, series_uid, site
from support.nodeproc import Node
from support.peers import Orthanc, free_port
from support.series import make_ct_series

from dicomnode.db.models import Delivery

pytestmark = pytest.mark.peers

QUICK = {
    "after_seconds": 0.2,
    "backoff_first": 0.3,
    "backoff_cap": 0.5,
    "report_seconds": 60.0,
    "same_association_seconds": 0.1,
}


def a_node(root: Path, pacs: Orthanc, port: int, **confirmation: Any) -> Node:
    destinations = [destination("pacs", "ORTHANC", pacs.dicom_port)]
    return Node(
        root,
        site_yaml=site(destinations, [enhancing("passthrough")]),
        dicom={"port": port},
        confirmation={**QUICK, **confirmation},
        completion=ANNOUNCED,
    )


def the_delivery(node: Node) -> dict[str, Any]:
    rows = node.cli("deliveries", "list")
    return dict(rows[0]) if rows else {"state": "", "confirmation": "", "confirm_at": None}


def rested(node: Node) -> None:
    """What was sent has rested for as long as the settings say: the PACS is asked."""
    with rewriting(node) as session:
        past = datetime.now(UTC) - timedelta(days=1)
        session.execute(update(Delivery).values(finished_at=past, confirm_at=past))


def wait_for(node: Node, state: str) -> dict[str, Any]:
    node.wait_until(lambda: the_delivery(node)["state"] == state, 60.0, f"the delivery to be {state}")
    return dict(node.cli("deliveries", "show", str(the_delivery(node)["id"])))


def test_orthanc_reports_on_an_association_of_its_own(tmp_path: Path) -> None:
    files, port = make_ct_series(tmp_path / "ct", 4, rows=64, images_in_acquisition=True), free_port()
    with (
        Orthanc(tmp_path / "pacs", DicomModalities={"node": ["DICOMNODE", "127.0.0.1", port]}) as pacs,
        a_node(tmp_path / "node", pacs, port) as node,
    ):
        send(node, files)
        shown = wait_for(node, "committed")
        assert shown["confirmation"] == "pacs reported that it keeps all 4 instances"
        assert {item["confirmed_by"] for item in shown["items"]} == {"commitment"}
        (story,) = [
            event["message"]
            for event in node.cli("series", "show", series_uid(files[0]))["story"]
            if event["kind"] == "delivery.committed"
        ]
        assert story == shown["confirmation"]
        (transaction,) = node.cli("commitments", "list", "--direction", "sent")
        assert transaction["state"] == "committed"


def test_what_orthanc_lost_is_sent_again(tmp_path: Path) -> None:
    """Somebody deletes an instance before the node asks: nothing that can be had again is lost for that."""
    files, port = make_ct_series(tmp_path / "ct", 3, rows=64, images_in_acquisition=True), free_port()
    with (
        Orthanc(tmp_path / "pacs", DicomModalities={"node": ["DICOMNODE", "127.0.0.1", port]}) as pacs,
        a_node(tmp_path / "node", pacs, port, after_seconds=3600) as node,
    ):
        send(node, files)
        shown = wait_for(node, "sent")
        (derived,) = pacs.series()
        lost, orthanc_id = next(iter(pacs.instances(derived).items()))
        pacs.http.delete(f"/instances/{orthanc_id}").raise_for_status()
        rested(node)
        node.wait_until(lambda: pacs.instance_count() == 3, 60.0, "the lost one to be sent again")
        wait_for(node, "sent")
        rested(node)
        shown = wait_for(node, "committed")
        assert {item["sop_uid"]: item["attempts"] for item in shown["items"]}[lost] == 2
        assert pacs.sop_uids(derived) == {item["sop_uid"] for item in shown["items"]}
        kinds = [event["kind"] for event in node.cli("audit", "list") if event["kind"].startswith("delivery.")]
        assert sorted(kinds) == sorted(
            ["delivery.created", *["delivery.sent"] * 2, "delivery.returned", "delivery.committed"]
        )


def test_orthanc_that_lets_anybody_query_verifies(tmp_path: Path) -> None:
    files, port = make_ct_series(tmp_path / "ct", 3, rows=64, images_in_acquisition=True), free_port()
    with (
        Orthanc(tmp_path / "pacs", DicomAlwaysAllowFind=True) as pacs,
        a_node(tmp_path / "node", pacs, port) as node,
    ):
        send(node, files)
        shown = wait_for(node, "verified")
        assert {item["confirmed_by"] for item in shown["items"]} == {"query"}
        assert "named all 3 instances by C-FIND" in shown["confirmation"]


def test_orthanc_as_it_comes_does_not_know_the_node_and_is_given_up(tmp_path: Path) -> None:
    """It aborts whatever a stranger asks: the delivery stays `sent`, one event says why, nothing waits for it."""
    files, port = make_ct_series(tmp_path / "ct", 3, rows=64, images_in_acquisition=True), free_port()
    with Orthanc(tmp_path / "pacs") as pacs, a_node(tmp_path / "node", pacs, port, attempts=3) as node:
        send(node, files)
        wait_for(node, "sent")
        node.wait_until(
            lambda: node.cli("audit", "list", "--kind", "delivery.unconfirmed"), 60.0, "the node to give up"
        )
        row = the_delivery(node)
        assert (row["state"], row["confirm_at"]) == ("sent", None)
        assert "did not answer C-FIND: the peer aborted the association" in row["confirmation"]
        assert len(node.cli("audit", "list", "--kind", "delivery.unconfirmed")) == 1
        assert node.cli("deliveries", "show", str(row["id"]))["items"][0]["attempts"] == 1
