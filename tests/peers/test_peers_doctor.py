"""The doctor beside a running node and on a stopped one; retention in a node; export of what was sent."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faults.scenario import ask
from sqlalchemy import update
from support.mainflow import (
    ANNOUNCED,
    IS_ANYTHING,
    destination,
    rewriting,
    send,
    series_uid,
    shown,
    site,
    wait_complete,
    wait_sent,
)
from support.nodeproc import Node
from support.peers import Orthanc, free_port
from support.rawfiles import raw_file
from support.series import make_ct_series

from dicomnode.db.models import Delivery, Series
from dicomnode.domain.states import DELIVERED

pytestmark = pytest.mark.peers


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 4, rows=64, images_in_acquisition=True)


@pytest.fixture
def node(tmp_path: Path, orthanc: Orthanc, files: list[Path]) -> Iterator[Node]:
    """A running node that received a series and forwarded it; it gives up what rested for 30 days."""
    forward = {"name": "on", "state": "live", "when": IS_ANYTHING, "forward_original_to": ["pacs"]}
    document = site([destination("pacs", orthanc.ae_title, orthanc.dicom_port)], [forward])
    store = {"root": "var/store", "retention_days": 30}
    with Node(tmp_path / "node", site_yaml=document, store=store, completion=ANNOUNCED) as node:
        send(node, files)
        wait_sent(node, 1)
        wait_complete(node, series_uid(files[0]))
        yield node


def doctor(node: Node, *options: str) -> tuple[int, dict[str, Any]]:
    done: subprocess.CompletedProcess[str] = node.cli("doctor", "--json", *options, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def stored(node: Node) -> Path:
    """The largest container: the one that holds the series."""
    folder = node.root / "var" / "store" / "containers"
    return max(folder.iterdir(), key=lambda path: path.stat().st_size)


def test_beside_a_running_node(node: Node, orthanc: Orthanc) -> None:
    status, document = doctor(node, "--deep", "--peers")
    assert (status, document["ok"], document["running"]) == (0, True, True)
    assert [found for found in document["findings"] if found["severity"] == "error"] == []
    dead = site([destination("gone", "GONE", free_port())], [])
    node.import_site(dead)
    status, document = doctor(node, "--peers")
    assert status == 1
    assert [found["kind"] for found in document["findings"] if found["severity"] == "error"] == ["destination"]
    assert doctor(node)[0] == 0


def test_a_loss_is_found_repaired_and_told(node: Node, files: list[Path]) -> None:
    uid = series_uid(files[0])
    node.terminate()
    stored(node).unlink()
    status, document = doctor(node)
    assert (status, document["running"]) == (1, False)
    assert "store.missing" in [found["kind"] for found in document["findings"]]
    told = node.cli("doctor", check=False)
    assert told.returncode == 1
    assert any("4 stored instances are missing" in line and "->" in line for line in told.stdout.splitlines())
    status, document = doctor(node, "--repair")
    assert (status, document["ok"]) == (0, True)
    assert doctor(node)[0] == 0
    node.start()
    document = shown(node, uid)
    assert (document["instances"], document["missing"]) == (4, 4)
    send(node, files)
    node.wait_until(lambda: shown(node, uid)["missing"] == 0, 60.0, "the series to be stored again")
    wait_complete(node, uid, generation=2)
    assert doctor(node, "--deep")[0] == 0


def test_an_export_is_what_was_sent(node: Node, files: list[Path], tmp_path: Path) -> None:
    uid, out = series_uid(files[0]), tmp_path / "out"
    assert node.cli("series", "export", uid, "--out", str(out)) == {"uid": uid, "files": 4}
    sent = {raw_file(file).sop_uid: raw_file(file).data_set for file in files}
    found = {raw_file(path).sop_uid: raw_file(path).data_set for path in out.iterdir()}
    assert found.keys() == sent.keys()
    again = node.cli("series", "export", uid, "--out", str(out), check=False)
    assert again.returncode == 1
    assert again.stderr.strip().endswith("is there already, and nothing is overwritten: name another folder")


def rest(node: Node, uid: str) -> None:
    """Two months go by for a series, and the node is started again: retention has its first turn."""
    node.terminate()
    past = datetime.now(UTC) - timedelta(days=60)
    with rewriting(node) as session:
        session.execute(update(Series).where(Series.uid == uid).values(last_arrival_at=past, completed_at=past))
        over = update(Delivery).where(Delivery.series_uid == uid)
        session.execute(over.values(finished_at=past, confirm_at=None))  # nobody asks the PACS any more
    node.start()


def test_retention_in_a_node(node: Node, files: list[Path], orthanc: Orthanc) -> None:
    uid, path = series_uid(files[0]), stored(node)
    node.cli("series", "keep", uid)
    rest(node, uid)
    assert doctor(node)[0] == 0
    assert path.exists()
    node.cli("series", "release", uid)
    rest(node, uid)
    removed = f"SELECT name FROM container WHERE removed_at IS NOT NULL AND name LIKE '%{path.name}'"
    node.wait_until(lambda: ask(node, removed), 60.0, "the container to be removed")
    assert not path.exists()
    document = shown(node, uid)
    assert (document["instances"], document["purged"], document["state"]) == (4, 4, "complete")
    assert document["purged_at"]
    assert "series.purged" in [event["kind"] for event in document["story"]]
    assert doctor(node, "--deep")[0] == 0
    refused = node.cli("series", "export", uid, "--out", str(node.root / "out"), check=False)
    assert "is stored any more: 4 purged of its instances" in refused.stderr
    send(node, files)
    wait_complete(node, uid, generation=2)
    assert shown(node, uid)["purged"] == 0
    (delivery,) = shown(node, uid)["deliveries"]
    assert delivery["destination"] == "pacs"
    node.wait_until(lambda: shown(node, uid)["deliveries"][0]["state"] in DELIVERED, 60.0, "the series to be resent")
