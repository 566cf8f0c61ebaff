"""`serve`: what it says when it cannot start, what it shows while it runs, and how it ends."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread
from support.mainflow import (
    ANNOUNCED,
    IS_CT,
    destination,
    enhancing,
    metric,
    progress,
    send,
    series_uid,
    site,
    sop_uids,
    wait_sent,
)
from support.modality import Modality, Rejected
from support.nodeproc import Node
from support.peers import Orthanc, StoreScp
from support.rawfiles import RawFile, raw_file
from support.rawsend import NoAnswer, RawSender
from support.series import make_ct_series
from support.wire import Closed

from dicomnode.settings import NodeSettings

pytestmark = pytest.mark.peers


@dataclass
class Running:
    node: Node
    files: list[Path]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node with the most talkative log; a series went through it, and one that the PACS did not take."""
    root = tmp_path_factory.mktemp("serve")
    files = make_ct_series(root / "ct", 4, rows=64, images_in_acquisition=True)
    with Orthanc(root / "orthanc") as orthanc:
        destinations = [
            destination("pacs", orthanc.ae_title, orthanc.dicom_port),
            destination("stranger", "NOT-ORTHANC", orthanc.dicom_port),
        ]
        document = site(destinations, [enhancing("passthrough", "pacs", "stranger")])
        with Node(root / "node", site_yaml=document, log={"level": "debug"}, completion=ANNOUNCED) as node:
            send(node, files)
            assert raw_sent(node, files[0], b"\0" * 100) == 0xC000
            wait_sent(node, 1)
            yield Running(node, files)


def raw_sent(node: Node, file: Path, data_set: bytes) -> int:
    raw = raw_file(file)
    with RawSender("127.0.0.1", node.dicom_port, node.ae_title, "MODALITY") as sender:
        return sender.store(raw.sop_class, raw.sop_uid, raw.transfer_syntax, data_set)


def fetched(node: Node, path: str) -> httpx.Response:
    return httpx.get(f"{node.url}{path}", timeout=30.0, trust_env=False)


def test_health_and_readiness(running: Running) -> None:
    assert (fetched(running.node, "/healthz").status_code, fetched(running.node, "/readyz").status_code) == (200, 200)
    assert fetched(running.node, "/healthz").json() == {"status": "ok"}


def test_metrics_count_and_name_no_patient(running: Running) -> None:
    running.node.wait_until(lambda: metric(running.node, "dicomnode_associations") == 0, 60.0, "the associations' end")
    text = fetched(running.node, "/metrics").text
    assert 'dicomnode_received_total{status="0000"} 4.0' in text
    assert 'dicomnode_received_total{status="C000"} 1.0' in text
    assert 'dicomnode_deliveries{destination="pacs",state="sent"} 1.0' in text
    assert "dicomnode_index_backlog 0.0" in text
    assert "dicomnode_associations 0.0" in text
    assert [word for word in identifiers(running.files) if word in text] == []


def test_the_log_names_no_patient(running: Running) -> None:
    text = running.node.log.read_text(encoding="utf-8")
    assert "listening" in text
    assert [word for word in identifiers(running.files) if word in text] == []


def identifiers(files: list[Path]) -> set[str]:
    """Whatever leads from a log to the patient."""
    first = dcmread(files[0])
    names = {str(first.PatientName), str(first.PatientName).split("^")[0], first.PatientID, first.AccessionNumber}
    return names | {first.StudyInstanceUID, first.SeriesInstanceUID, *sop_uids(files)}


@pytest.mark.parametrize("taken", ["dicom port", "web port", "store", "database"])
def test_a_second_one_says_what_is_taken(running: Running, taken: str, tmp_path: Path) -> None:
    node = running.node
    web, store = node.settings["web"]["port"], str(node.root / "var/store")
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "dicom port": ({"dicom": {"port": node.dicom_port}}, f"port {node.dicom_port} on 127.0.0.1 is taken"),
        "web port": ({"web": {"port": web}}, f"web port {web} on 127.0.0.1 cannot be opened: Address already in use"),
        "store": ({"store": {"root": store}}, f"another dicomnode (process {node.pid}) already works on this store;"),
        "database": (
            {"database": {"url": f"sqlite:///{node.root}/var/dicomnode.db"}, "node": {"name": "another"}},
            f"node {NodeSettings(name='').name} works on this database, and was alive less than 30 s ago;",
        ),
    }
    settings, sentence = cases[taken]
    second = Node(tmp_path / "second", **settings)
    command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(second.config)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=False, env=second.env)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].startswith(f"dicomnode: {sentence}")
    assert "Traceback" not in answer.stderr
    assert second.children() == {}
    assert fetched(node, "/readyz").status_code == 200


def test_sigterm_drains_in_the_middle_of_a_transfer(tmp_path: Path) -> None:
    (file,) = make_ct_series(tmp_path / "ct", 1, rows=64)
    acknowledged: list[str] = []
    with Node(tmp_path / "node") as node:
        sender = threading.Thread(target=send_slowly, args=(node, raw_file(file), acknowledged))
        sender.start()
        node.wait_until(lambda: len(acknowledged) >= 5, 60.0, "the first instances")
        refused_at: list[int] = []

        def come_until_refused() -> None:
            with contextlib.suppress(OSError, Rejected, Closed):
                while True:
                    with Modality(node.dicom_port, node.ae_title) as modality:
                        assert modality.echo() == 0
                    time.sleep(0.1)
            refused_at.append(len(acknowledged))

        newcomer = threading.Thread(target=come_until_refused)
        newcomer.start()
        assert node.terminate() == 0
        sender.join()
        newcomer.join()
        assert refused_at[0] < len(acknowledged), "who was there went on when nobody else could come"
        node.start()
        node.cli("series", "export", series_uid(file), "--out", str(tmp_path / "out"))
    kept = {raw_file(path).sop_uid: raw_file(path).data_set for path in (tmp_path / "out").iterdir()}
    assert set(acknowledged) <= kept.keys()
    assert all(kept[uid] == renamed(raw_file(file), uid) for uid in kept)


def send_slowly(node: Node, raw: RawFile, acknowledged: list[str]) -> None:
    """Five instances a second over one association, until it is ended; each is `raw` under another UID."""
    with RawSender("127.0.0.1", node.dicom_port, node.ae_title, "MODALITY") as sender:
        for number in count():
            uid = f"1.2.{10 ** (len(raw.sop_uid) - 5) + number}"
            try:
                status = sender.store(raw.sop_class, uid, raw.transfer_syntax, renamed(raw, uid))
            except NoAnswer:
                return
            assert status == 0
            acknowledged.append(uid)
            time.sleep(0.2)


def renamed(raw: RawFile, uid: str) -> bytes:
    """Its data set under a UID that is as long as its own."""
    assert len(uid) == len(raw.sop_uid)
    return raw.data_set.replace(raw.sop_uid.encode(), uid.encode())


def test_a_site_import_takes_effect_with_the_node_up_and_down(tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "ct", 3, rows=64)
    with (
        StoreScp(tmp_path / "first") as first,
        StoreScp(tmp_path / "second") as second,
        Node(tmp_path / "node") as node,
    ):
        send(node, files[:1])
        node.wait_until(lambda: progress(node, series_uid(files[0]))[0] != "", 60.0, "the index")
        node.import_site(forwarding_to("first", first))
        send(node, files[1:2])
        wait_sent(node, 1, "first")
        assert node.terminate() == 0
        node.import_site(forwarding_to("second", second))
        node.start()
        send(node, files[2:])
        wait_sent(node, 1, "second")
        assert (len(first.files()), len(second.files())) == (1, 1)
        assert node.cli("site", "export")["revision"] == 2


def forwarding_to(name: str, scp: StoreScp) -> str:
    rule = {"name": "originals", "state": "live", "when": IS_CT, "forward_original_to": [name]}
    return site([destination(name, "ANY-SCP", scp.port)], [rule])
