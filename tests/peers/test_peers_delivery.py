"""Destinations that refuse, run full or are away: the ledger says why, and everything arrives in the end, once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event
from support.mainflow import ANNOUNCED, destination, enhancing, send, series_uid, site, wait_sent
from support.nodeproc import Node
from support.peers import StoreScp, free_port
from support.series import make_ct_series

pytestmark = pytest.mark.peers

SLICES = 4
DELIVERY = {"backoff_first": 0.3, "backoff_cap": 1.0}


class Peer:
    """A Storage SCP that answers as it is told: `answers` one by one, then 0000."""

    def __init__(self, *sop_classes: str) -> None:
        self.answers: list[int] = []
        self.seen: list[tuple[str, int]] = []
        self.port = free_port()
        entity = AE(ae_title="PEER")
        for sop_class in sop_classes:
            entity.add_supported_context(sop_class)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _store(self, event: Event) -> int:
        status = self.answers.pop(0) if self.answers else 0
        self.seen.append((str(event.request.AffectedSOPInstanceUID), status))
        return status

    def stored(self) -> list[str]:
        return [uid for uid, status in self.seen if status == 0]

    def stop(self) -> None:
        self._server.shutdown()


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    running = Peer(CTImageStorage)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def magnets_only() -> Iterator[Peer]:
    running = Peer(MRImageStorage)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreScp]:
    """Not started: nothing listens on its port."""
    scp = StoreScp(tmp_path_factory.mktemp("away") / "received", "-aet", "AWAY")
    yield scp
    scp.stop()


@pytest.fixture(scope="module")
def node(peer: Peer, magnets_only: Peer, away: StoreScp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A series goes to the destinations that its description names."""
    destinations = [
        destination("peer", "PEER", peer.port),
        destination("magnets-only", "PEER", magnets_only.port),
        destination("away", "AWAY", away.port),
    ]
    rules = [
        enhancing("passthrough", each["name"], when=names(each["name"]), name=each["name"]) for each in destinations
    ]
    settings = {"delivery": DELIVERY, "completion": ANNOUNCED}
    with Node(tmp_path_factory.mktemp("node"), site_yaml=site(destinations, rules), **settings) as running:
        yield running


def names(text: str) -> dict[str, str]:
    return {"attribute": "SeriesDescription", "contains": text}


def send_to(node: Node, description: str, folder: Path, seed: int) -> str:
    """Send a series with this description; returns its UID."""
    files = make_ct_series(folder, SLICES, rows=64, seed=seed, description=description, images_in_acquisition=True)
    send(node, files)
    return series_uid(files[0])


def delivery(node: Node, series: str, name: str, state: str, reason: str = "") -> dict[str, Any]:
    """The delivery of a series to a destination, once it is in this state, for this reason perhaps; as listed."""

    def found() -> dict[str, Any] | None:
        rows = node.cli("deliveries", "list")
        here = [row for row in rows if (row["series_uid"], row["destination"]) == (series, name)]
        return here[0] if here and here[0]["state"] == state and reason in here[0]["reason"] else None

    return node.wait_until(found, 60.0, f"the delivery to {name} to be {state}") or {}


def test_a_refused_instance_makes_a_dead_letter_and_retry_delivers_it(node: Node, peer: Peer, tmp_path: Path) -> None:
    peer.answers = [0, 0xC000]
    seen = len(peer.seen)
    series = send_to(node, "peer", tmp_path, 1)
    row = delivery(node, series, "peer", "failed")
    assert row["instances"] == {"failed": 1, "sent": SLICES - 1}
    assert row["reason"] == (
        "1 of 4 instances were refused for good: C000: the peer cannot understand it (PS3.4 B.2.3)"
    )
    items = node.cli("deliveries", "show", str(row["id"]))["items"]
    assert [item["status"] for item in items] == ["0000", "C000", "0000", "0000"]
    assert node.cli("deliveries", "list", "--state", "failed")[0]["id"] == row["id"]

    assert node.cli("deliveries", "retry", str(row["id"])) == {"id": row["id"], "instances": 1}
    assert delivery(node, series, "peer", "sent")["instances"] == {"sent": SLICES}
    requests = [uid for uid, _ in peer.seen[seen:]]
    assert requests == [*(item["sop_uid"] for item in items), items[1]["sop_uid"]]
    again = node.cli("deliveries", "retry", str(row["id"]), check=False)
    assert again.returncode == 1
    assert again.stderr == f"dicomnode: delivery {row['id']} is sent: only a failed one can be sent again\n"


def test_a_sop_class_that_is_not_taken_makes_a_dead_letter(node: Node, magnets_only: Peer, tmp_path: Path) -> None:
    row = delivery(node, send_to(node, "magnets-only", tmp_path, 2), "magnets-only", "failed")
    assert row["instances"] == {"failed": SLICES}
    assert "PEER does not take CT Image Storage in Explicit VR Little Endian: SOP class not supported" in row["reason"]
    assert magnets_only.seen == []


def test_out_of_resources_is_tried_again(node: Node, peer: Peer, tmp_path: Path) -> None:
    peer.answers = [0, 0xA700, 0xA700]
    seen = len(peer.seen)
    series = send_to(node, "peer", tmp_path, 3)
    assert delivery(node, series, "peer", "sent")["instances"] == {"sent": SLICES}
    statuses = [status for _, status in peer.seen[seen:]]
    assert statuses == [0, 0xA700, 0xA700, 0, 0, 0]
    assert len({uid for uid, _ in peer.seen[seen:]}) == SLICES
    retries = [
        event for event in node.cli("audit", "list", "--kind", "delivery.retry") if event["series_uid"] == series
    ]
    assert len(retries) == 2
    assert "A700: the peer is out of resources, often disk space" in retries[0]["message"]


def test_one_destination_that_is_away_holds_up_no_other(node: Node, peer: Peer, away: StoreScp, tmp_path: Path) -> None:
    seen = len(peer.stored())
    series = send_to(node, "peer and away", tmp_path, 4)
    node.wait_until(lambda: len(peer.stored()) == seen + SLICES, 60.0, "the destination that is there")
    row = delivery(node, series, "away", "pending", "refused")
    assert row["instances"] == {"pending": SLICES}
    assert_cannot_be_removed(node, "away", tmp_path / "site.yaml")
    away.start()
    wait_sent(node, 1, "away")
    assert len(away.files()) == SLICES


def assert_cannot_be_removed(node: Node, name: str, file: Path) -> None:
    file.write_text(site([], []))
    answer = node.cli("site", "import", str(file), check=False)
    assert answer.returncode == 1
    assert f"deliveries to removed destinations are not finished: {name} (1);" in answer.stderr
