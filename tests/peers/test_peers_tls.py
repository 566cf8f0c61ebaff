"""TLS with a real node and real peers: DCMTK sends in, storescp and Orthanc are sent to, the how-to is followed."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from support.hospital import Hospital, echo
from support.mainflow import ANNOUNCED, destination, series_uid, site, wait_complete, wait_sent
from support.nodeproc import Node
from support.peers import Orthanc, StoreScp, dcmtk, free_port, storescu
from support.series import make_ct_series

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(tmp_path_factory.mktemp("pki") / "pki")


@pytest.fixture(scope="module")
def tls_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def node(hospital: Hospital, tls_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """CT1 has a certificate; others may echo."""
    settings: dict[str, dict[str, Any]] = {
        "dicom.tls": {**hospital.files, "port": tls_port},
        "dicom.peers.CT1": {"fingerprints": [hospital.ct1.fingerprint]},
        'dicom.peers."*"': {"verbs": ["echo"]},
        "completion": ANNOUNCED,
    }
    with Node(tmp_path_factory.mktemp("node"), **settings) as running:
        yield running


def test_what_a_scanner_sends_over_tls_is_stored(node: Node, hospital: Hospital, tls_port: int, tmp_path: Path) -> None:
    images = make_ct_series(tmp_path, 3, rows=64, seed=27, images_in_acquisition=True)
    done = storescu(images, tls_port, "DICOMNODE", "CT1", *hospital.shown(hospital.ct1))
    assert done.returncode == 0, done.stderr
    wait_complete(node, series_uid(images[0]))
    listed = {row["uid"]: row["instances"] for row in node.cli("series", "list")}
    assert listed[series_uid(images[0])] == 3


def test_plain_text_stays_on_its_own_port(node: Node, hospital: Hospital, tls_port: int) -> None:
    assert echo(node.dicom_port, calling="ANYBODY")
    assert not echo(node.dicom_port, *hospital.shown(hospital.ct1))


def test_a_title_without_the_verb_may_not_store(node: Node, tmp_path: Path) -> None:
    (image,) = make_ct_series(tmp_path, 1, rows=64, seed=28)
    done = storescu([image], node.dicom_port, "DICOMNODE", "ANYBODY", "-v")
    assert "Unknown Status: 0x124" in done.stderr, done.stderr
    (row,) = node.wait_until(lambda: node.cli("audit", "list", "--kind", "instance.refused"), 60.0, "the refusal")
    assert row["detail"]["status"] == "0124"


def test_the_tls_port_may_be_the_only_one(hospital: Hospital, tmp_path: Path) -> None:
    port = free_port()
    settings = {**hospital.files, "port": port, "only": True, "client": "request"}
    with Node(tmp_path, **{"dicom.tls": settings}) as node:
        assert echo(port, "+tla", "+cf", str(hospital.authority.cert))
        assert not echo(port)
        assert not echo(node.dicom_port)


def test_files_that_do_not_work_are_told_at_start(hospital: Hospital, tmp_path: Path) -> None:
    key = tmp_path / "node.key"
    key.write_bytes(hospital.node.key.read_bytes())
    key.chmod(0o644)
    node = Node(tmp_path / "node", **{"dicom.tls": {**hospital.files, "key": str(key), "port": free_port()}})
    for command in (("serve",), ("config", "check")):
        done = node.cli(*command, check=False)
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1] == (
            f"dicomnode: setting dicom.tls.key: every user of this machine may read or change {key}; "
            f"take that away with `chmod o= {key}`"
        )


def forwarding(name: str) -> dict[str, Any]:
    """A live rule that forwards every image to this destination."""
    when = {"attribute": "Modality", "exists": True}
    return {"name": name, "state": "live", "when": when, "forward_original_to": [name]}


def test_sending_to_peers_that_speak_tls(hospital: Hospital, tmp_path: Path) -> None:
    """storescp with a certificate of a stranger, then of the hospital; Orthanc, which wants to know the node."""
    pacs, impostor = (authority.issue("pacs.example.org") for authority in (hospital.authority, hospital.stranger))
    scp = StoreScp(tmp_path / "received", "-aet", "SCP", *hospital.shown(impostor))
    orthanc_tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(pacs.cert),
        "DicomTlsPrivateKey": str(pacs.key),
        "DicomTlsTrustedCertificates": str(hospital.authority.cert),
        "DicomAlwaysAllowStore": True,
    }
    secured = {"tls": "hospital", "server_name": "localhost"}
    with scp, Orthanc(tmp_path / "orthanc", **orthanc_tls) as orthanc:
        destinations = [
            destination("scp", "SCP", scp.port) | secured,
            destination("orthanc", "ORTHANC", orthanc.dicom_port) | secured,
            destination("in-plain-text", "ORTHANC", orthanc.dicom_port),
        ]
        yaml = site(destinations, [forwarding("scp"), forwarding("orthanc")])
        delivery = {"backoff_first": 0.3, "backoff_cap": 1.0, "refused_seconds": 2.0}
        with Node(tmp_path / "node", site_yaml=yaml, delivery=delivery, **{"tls.hospital": hospital.files}) as node:
            check_sending(node, scp, orthanc, hospital.shown(pacs), tmp_path)


def check_sending(node: Node, scp: StoreScp, orthanc: Orthanc, mended: tuple[str, ...], folder: Path) -> None:
    """`mended`: the options with which storescp is to be trusted."""
    listed = {row["name"]: row["tls"] for row in node.cli("destinations", "list")}
    assert listed == {"scp": "hospital", "orthanc": "hospital", "in-plain-text": None}
    assert node.cli("destinations", "echo", "orthanc")["ok"]
    assert node.cli("destinations", "echo", "in-plain-text", check=False).returncode == 1
    images = make_ct_series(folder / "images", 4, rows=64, seed=29)
    assert storescu(images, node.dicom_port, "DICOMNODE", "CT1").returncode == 0
    node.wait_until(lambda: orthanc.instance_count() == 4, 60.0, "Orthanc to have all")

    def reason() -> str:
        rows = [row for row in node.cli("deliveries", "list") if row["destination"] == "scp"]
        return next((row["reason"] for row in rows if row["state"] == "pending" and row["reason"]), "")

    assert "none of the certificates in `ca` vouches for its certificate" in node.wait_until(reason, 60.0, "a reason")
    assert scp.files() == []
    scp.stop()
    scp.flags = ("-aet", "SCP", *mended)
    scp.start()
    node.wait_until(lambda: len(scp.files()) == 4, 60.0, "storescp to have all")
    wait_sent(node, 1, "scp")  # a file is there before all of it is written
    sent = {str(dcmread(path).SOPInstanceUID): dcmread(path).PixelData for path in images}
    assert {str(dcmread(path).SOPInstanceUID): dcmread(path).PixelData for path in scp.files()} == sent
    scp.stop()


def shell(commands: str, folder: Path) -> None:
    """Run these; every one must succeed."""
    done = subprocess.run(["/bin/sh", "-e"], input=commands, text=True, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_howto_works_as_it_is_written(tmp_path: Path) -> None:
    """Its commands make the files that its settings name, and its echoscu is welcome."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "network.md").read_text(encoding="utf-8")
    making, trying = re.findall(r"```sh\n(.*?)```", page, re.S)[:2]
    settings = re.search(r"\[dicom\.tls\]\n[^`]*", page)
    assert settings is not None
    shell(making, tmp_path)
    port = str(free_port())
    node = Node(tmp_path)
    with node.config.open("a", encoding="utf-8") as file:
        file.write(settings.group().replace("2762", port))
    with node:
        shell(trying.replace("echoscu", dcmtk("echoscu")).replace("2762", port), tmp_path / "tls")
