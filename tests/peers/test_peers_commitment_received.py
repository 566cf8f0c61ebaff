"""Storage commitment with Orthanc: it asks this node to keep instances, and reports to it what it keeps itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.scenario import ask as select
from support.commitment import ask, associate
from support.mainflow import send, series_uid, shown, sop_uids, wait_complete
from support.nodeproc import Node
from support.peers import Orthanc, free_port, storescu
from support.series import make_ct_series

from dicomnode.domain.commitment import ALL_COMMITTED, FAILURES_EXIST

pytestmark = pytest.mark.peers

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Only evidence completes a series within a test."""
    dicom = {"commitment": True, "processes": 2}
    with Node(tmp_path_factory.mktemp("node"), dicom=dicom, completion={"quiet_seconds": 600}) as node:
        yield node


@pytest.fixture(scope="module")
def orthanc(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    modalities = {"node": [node.ae_title, "127.0.0.1", node.dicom_port]}
    with Orthanc(tmp_path_factory.mktemp("pacs"), DicomModalities=modalities, DicomScuTimeout=60) as running:
        yield running


def test_what_orthanc_asks_to_be_kept_is_kept_and_completes_its_series(
    node: Node, orthanc: Orthanc, tmp_path: Path
) -> None:
    files = make_ct_series(tmp_path, 4, rows=64, seed=1)
    send(node, files[:3], orthanc.ae_title)
    listed = [{"SOPClassUID": CT, "SOPInstanceUID": uid} for uid in sop_uids(files)]
    answer = orthanc.http.post("/modalities/node/storage-commitment", json={"DicomInstances": listed})
    transaction = answer.raise_for_status().json()["ID"]

    def row() -> list[tuple[str, str]]:
        query = "SELECT calling_aet, called_aet FROM commitment_request WHERE transaction_uid LIKE '%"
        return select(node, f"{query}{transaction.rpartition('/')[2]}%'")

    assert node.wait_until(row, 60.0, "the request") == [(orthanc.ae_title, node.ae_title)]
    assert shown(node, series_uid(files[0]))["state"] == "receiving"
    send(node, files[3:], orthanc.ae_title)
    wait_complete(node, series_uid(files[0]))
    reason = "all 4 instances listed by the storage commitment request have arrived"
    assert shown(node, series_uid(files[0]))["reason"] == reason


def test_what_orthanc_reports_over_an_association_of_its_own_is_kept(
    node: Node, orthanc: Orthanc, tmp_path: Path
) -> None:
    files = make_ct_series(tmp_path, 3, rows=64, seed=2)
    assert storescu(files, orthanc.dicom_port, orthanc.ae_title, node.ae_title).returncode == 0
    held = sop_uids(files)
    asked = {f"1.2.40.{number}": [*held, f"1.2.41.{number}"] if number % 2 else held for number in range(6)}
    for transaction, uids in asked.items():
        association = associate(orthanc.dicom_port, node.ae_title, called=orthanc.ae_title)
        assert ask(association, uids, transaction) == 0
        association.release()

    def reports() -> list[tuple[str, int, str, str, str]]:
        columns = "transaction_uid, event_type, calling_aet, committed, failed"
        rows = select(node, f"SELECT {columns} FROM commitment_report WHERE transaction_uid LIKE '1.2.40.%'")
        return rows if len(rows) == len(asked) else []

    for transaction, event_type, calling_aet, committed, failed in node.wait_until(reports, 60.0, "all reports"):
        lacking = set(asked[transaction]) - set(held)
        assert event_type == (FAILURES_EXIST if lacking else ALL_COMMITTED)
        assert calling_aet == orthanc.ae_title
        assert all(uid in committed for uid in held)
        assert all(uid in failed for uid in lacking)


def test_a_node_without_the_setting_takes_reports_and_refuses_requests(orthanc: Orthanc, tmp_path: Path) -> None:
    port = free_port()
    with Node(tmp_path / "node", dicom={"ae_title": "ROUTER", "port": port}) as node:
        peer = {"AET": "ROUTER", "Host": "127.0.0.1", "Port": port}
        orthanc.http.put("/modalities/router", json=peer).raise_for_status()
        listed = [{"SOPClassUID": CT, "SOPInstanceUID": "1.2.3"}]
        refused = orthanc.http.post("/modalities/router/storage-commitment", json={"DicomInstances": listed})
        assert refused.status_code == 500
        association = associate(orthanc.dicom_port, "ROUTER", called=orthanc.ae_title)
        assert ask(association, ["1.2.3"], "1.2.50.1") == 0
        association.release()
        query = "SELECT event_type FROM commitment_report WHERE transaction_uid = '1.2.50.1'"
        assert node.wait_until(lambda: select(node, query), 60.0, "the report") == [(FAILURES_EXIST,)]
        assert select(node, "SELECT count(*) FROM commitment_request") == [(0,)]
