"""Real peers ask the node to keep what they sent: Orthanc as the modality, and Orthanc as the PACS behind the node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.asking import AskingModality
from support.mainflow import IS_CT, destination, send, series_uid, site, sop_uids
from support.nodeproc import Node
from support.peers import Orthanc, free_port
from support.series import make_ct_series

pytestmark = pytest.mark.peers

CT = "1.2.840.10008.5.1.4.1.1.2"
UNKNOWN = "1.2.826.0.1.3680043.8.498.4712"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 4, rows=64)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def scanner(tmp_path: Path, port: int) -> Iterator[Orthanc]:
    """Orthanc in the role of the modality: it knows a node that listens on `port`."""
    node = {"AET": "DICOMNODE", "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
    with Orthanc(
        tmp_path / "scanner", ae_title="SCANNER", DicomModalities={"node": node}, DicomScuTimeout=60
    ) as running:
        yield running


def asked(scanner: Orthanc, uids: list[str]) -> str:
    """Where Orthanc tells of the transaction that it began."""
    instances = [{"SOPClassUID": CT, "SOPInstanceUID": uid} for uid in uids]
    begun = scanner.http.post("/modalities/node/storage-commitment", json={"DicomInstances": instances})
    return str(begun.raise_for_status().json()["Path"])


def answer(node: Node, scanner: Orthanc, path: str) -> dict[str, Any]:
    """What Orthanc heard from the node."""
    node.wait_until(lambda: scanner.get(path)["Status"] != "Pending", 60.0, "Orthanc to be told")
    return dict(scanner.get(path))


def test_orthanc_asks_as_a_modality(tmp_path: Path, files: list[Path], scanner: Orthanc, port: int) -> None:
    data = site([destination("scanner", "SCANNER", scanner.dicom_port)], [])
    dicom = {"port": port, "commitment": True}
    with Node(tmp_path / "node", site_yaml=data, dicom=dicom, engine={"devices": []}) as node:
        for file in files:
            scanner.http.post("/instances", content=file.read_bytes()).raise_for_status()
        (series,) = (row["ID"] for row in scanner.get("/series?expand"))
        scanner.http.post("/modalities/node/store", json=series).raise_for_status()
        all_kept = answer(node, scanner, asked(scanner, sop_uids(files)))
        assert all_kept["Status"] == "Success"
        assert {row["SOPInstanceUID"] for row in all_kept["Success"]} == set(sop_uids(files))
        one_unknown = answer(node, scanner, asked(scanner, [sop_uids(files)[0], UNKNOWN]))
        assert one_unknown["Status"] == "Failure"
        assert [row["SOPInstanceUID"] for row in one_unknown["Success"]] == sop_uids(files)[:1]
        (failure,) = one_unknown["Failures"]
        assert (failure["SOPInstanceUID"], failure["FailureReason"]) == (UNKNOWN, 0x0112)
        told = {row["failed"] for row in node.cli("commitments", "list", "--direction", "received")}
        assert told == {0, 1}


def test_a_promise_waits_for_the_pacs_behind_the_node(tmp_path: Path, files: list[Path]) -> None:
    """Orthanc commits to the node, then the node to the modality; while Orthanc is away, nothing is promised."""
    pacs = Orthanc(tmp_path / "pacs", ae_title="PACS")
    node_port = free_port()
    pacs.options = {
        "DicomModalities": {"node": {"AET": "DICOMNODE", "Host": "127.0.0.1", "Port": node_port}},
        "DicomCheckModalityHost": False,
        "DicomScuTimeout": 60,
    }
    with AskingModality() as modality:
        destinations = [destination("pacs", "PACS", pacs.dicom_port), destination("ct", "MODALITY", modality.port)]
        onward = {"name": "onward", "state": "live", "when": IS_CT, "forward_original_to": ["pacs"]}
        node = Node(
            tmp_path / "node",
            site_yaml=site(destinations, [onward]),
            dicom={"port": node_port, "commitment": True},
            engine={"devices": []},
            delivery={"backoff_cap": 1.0},
        )
        with node:
            send(node, files)
            assert modality.ask(node_port, "1.2.7", [(CT, uid) for uid in sop_uids(files)]) == 0x0000
            node.wait_until(
                lambda: [row["reason"] for row in node.cli("commitments", "list")] == ["4 x pacs: it is on its way"],
                60.0,
                "the request to wait for the PACS",
            )
            assert modality.told == []
            with pacs:
                (told,) = modality.wait_for(1, 60.0)
                assert (told.event_type, len(told.committed)) == (1, 4)
                assert pacs.sop_uids(series_uid(files[0])) == set(sop_uids(files))

            def states(direction: str) -> list[str]:
                return [row["state"] for row in node.cli("commitments", "list", "--direction", direction)]

            node.wait_until(lambda: states("received") == ["reported"], 60.0, "the node to note the modality's answer")
            assert "committed" in states("sent")
            assert node.cli("series", "show", series_uid(files[0]))["kept_for"] == ""
