"""TLS and admission with a real node and real peers: DCMTK and openssl on the way in, storescp and Orthanc out.

What is refused on the TLS port, and what a spoofed title leads to.
"""

import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification
from support.certificates import OPENSSL, Authority, Identity, openssl
from support.mainflow import destination, series_uid, site, wait_complete
from support.nodeproc import Node
from support.peers import Orthanc, StoreScp, dcmtk, free_port, storescu
from support.series import make_ct_series

pytestmark = pytest.mark.peers

GOOD_SUITES = {
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
}


@dataclass
class Pki:
    """A hospital's authority and a stranger's; the node's certificate is RSA, so that every kind of suite could be."""

    hospital: Authority
    stranger: Authority
    node: Identity
    ct1: Identity


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    hospital, stranger = Authority(folder / "hospital"), Authority(folder / "stranger")
    node = hospital.issue("node", key=("rsa:2048",), days=90)
    return Pki(hospital, stranger, node, hospital.issue("ct1.example.org"))


@pytest.fixture(scope="module")
def tls_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def node(pki: Pki, tls_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """CT1 has a certificate, CT2 an address, CT3 just TLS; others may echo from 127.0.0.1 to .7."""
    settings: dict[str, dict[str, Any]] = {
        "dicom.tls": files(pki) | {"port": tls_port},
        "dicom.peers.CT1": {"fingerprints": [pki.ct1.fingerprint], "addresses": ["127.0.0.1"]},
        "dicom.peers.CT2": {"addresses": ["127.0.0.2/31"]},
        "dicom.peers.CT3": {"names": ["ct3.example.org", "ct1.example.org"]},
        'dicom.peers."*"': {"addresses": ["127.0.0.0/29"], "verbs": ["echo"]},
    }
    with Node(tmp_path_factory.mktemp("node"), **settings) as running:
        yield running


def files(pki: Pki) -> dict[str, str]:
    return {"cert": str(pki.node.cert), "key": str(pki.node.key), "ca": str(pki.hospital.cert)}


def shown(pki: Pki, identity: Identity) -> tuple[str, ...]:
    """DCMTK's options for this certificate."""
    return ("+tls", str(identity.key), str(identity.cert), "+cf", str(pki.hospital.cert))


def echo(port: int, *options: str, calling: str = "CT3") -> bool:
    """C-ECHO with DCMTK's echoscu."""
    command = [dcmtk("echoscu"), *options, "-aet", calling, "-aec", "DICOMNODE", "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, timeout=30.0, check=False).returncode == 0


def handshake(port: int, *options: str | Path) -> bool:
    """Whether openssl comes through a handshake, and through reading after it: TLS 1.3 refuses as late as that."""
    command = [OPENSSL, "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", "-brief", *options]
    # Something that is no A-ASSOCIATE-RQ: whoever came through the handshake gets an A-ABORT for it.
    done = subprocess.run(
        command, input=b"\x07\0\0\0\0\4\0\0\0\0"[:6] * 3, capture_output=True, timeout=30, check=False
    )
    return b"CONNECTION ESTABLISHED" in done.stderr and b"alert" not in done.stderr.lower()


def audit(node: Node, kind: str, more_than: int = 0) -> list[dict[str, Any]]:
    """The audit events of this kind, once there are more than so many."""

    def found() -> list[dict[str, Any]] | None:
        rows: list[dict[str, Any]] = node.cli("audit", "list", "--kind", kind, "--limit", "1000")
        return rows if len(rows) > more_than else None

    return node.wait_until(found, 20.0, f"a {kind} in the audit log") or []


def test_what_a_scanner_sends_over_tls_is_stored(node: Node, pki: Pki, tls_port: int, tmp_path: Path) -> None:
    images = make_ct_series(tmp_path, 3, rows=64, seed=27)
    done = storescu(images, tls_port, "DICOMNODE", "CT1", *shown(pki, pki.ct1))
    assert done.returncode == 0, done.stderr

    wait_complete(node, series_uid(images[0]))
    listed = {row["uid"]: row["instances"] for row in node.cli("series", "list")}
    assert listed[series_uid(images[0])] == 3


def test_who_is_not_welcome_on_the_tls_port(node: Node, pki: Pki, tls_port: int) -> None:
    good = shown(pki, pki.ct1)
    assert echo(tls_port, *good)
    refused = {
        "plain text": (),
        "no certificate": ("+tla", "+cf", str(pki.hospital.cert)),
        "certificate of a stranger": shown(pki, pki.stranger.issue("ct1.example.org")),
        "expired certificate": shown(pki, pki.hospital.issue("ct1.example.org", days=-1)),
    }
    for why, options in refused.items():
        assert not echo(tls_port, *options), why
    assert echo(tls_port, *good)
    rows = audit(node, "connection.dropped")
    assert rows[0]["detail"]["peer"] == "127.0.0.1"
    assert re.fullmatch(r"127\.0\.0\.1 never opened an association: TLS: [a-z ]+", rows[0]["message"])


def test_plain_text_stays_on_its_own_port(node: Node, pki: Pki, tls_port: int) -> None:
    assert echo(node.dicom_port, calling="ANYBODY")
    assert not echo(node.dicom_port, *shown(pki, pki.ct1))


@pytest.mark.parametrize(
    ("version", "welcome"), [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]
)
def test_versions(node: Node, pki: Pki, tls_port: int, version: str, welcome: bool) -> None:
    options = ("-cert", pki.ct1.cert, "-key", pki.ct1.key, version, "-cipher", "ALL:@SECLEVEL=0")
    assert handshake(tls_port, *options) is welcome


def test_suites_of_tls_1_2(node: Node, pki: Pki, tls_port: int) -> None:
    """Every suite that openssl knows, one by one: forward secrecy and authenticated encryption, and nothing else."""
    known = openssl("ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").strip().split(":")
    candidates = [
        suite for suite in known if not suite.startswith("TLS_") and "PSK" not in suite and "SRP" not in suite
    ]
    assert len(candidates) > 40
    own = ("-cert", pki.ct1.cert, "-key", pki.ct1.key, "-tls1_2")
    taken = {suite for suite in candidates if handshake(tls_port, *own, "-cipher", f"{suite}:@SECLEVEL=0")}
    assert taken == {suite for suite in GOOD_SUITES if "RSA" in suite}


@pytest.mark.parametrize("suite", ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"])
def test_suites_of_tls_1_3(node: Node, pki: Pki, tls_port: int, suite: str) -> None:
    own = ("-cert", pki.ct1.cert, "-key", pki.ct1.key, "-tls1_3")
    assert handshake(tls_port, *own, "-ciphersuites", "TLS_AES_128_GCM_SHA256")
    assert not handshake(tls_port, *own, "-ciphersuites", suite)


def associate(
    port: int, calling: str, source: str, *, called: str = "DICOMNODE", context: ssl.SSLContext | None = None
) -> tuple[int, int, int] | int:
    """What an association from this address gets: A-ASSOCIATE-RJ's three numbers, or the status of a C-ECHO."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    entity.add_requested_context(Verification)
    entity.add_requested_context(CTImageStorage)
    tls = (context, "localhost") if context else None
    association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=tls, bind_address=(source, 0))
    if association.is_rejected:
        answer = association.acceptor.primitive
        return answer.result, answer.result_source, answer.diagnostic
    assert association.is_established
    status = association.send_c_echo().Status
    association.release()
    return int(status)


def client(pki: Pki, identity: Identity) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki.hospital.cert))
    context.load_cert_chain(identity.cert, identity.key)
    return context


def test_spoofed_titles_are_rejected_and_alerted(node: Node, pki: Pki, tls_port: int) -> None:
    ct2 = client(pki, pki.hospital.issue("ct2.example.org"))
    ct1, plain = client(pki, pki.ct1), node.dicom_port
    assert associate(tls_port, "CT1", "127.0.0.1", context=ct1) == 0
    assert associate(plain, "CT2", "127.0.0.2") == 0
    assert associate(plain, "CT2", "127.0.0.3") == 0
    assert associate(tls_port, "CT3", "127.0.0.9", context=ct1) == 0
    before = len(node.cli("audit", "list", "--kind", "association.alert", "--limit", "1000"))
    spoofs: list[tuple[int, str, str, ssl.SSLContext | None, str]] = [
        (tls_port, "CT1", "127.0.0.4", ct1, "CT1 spoofed: the address is outside its ranges"),
        (tls_port, "CT1", "127.0.0.1", ct2, "CT1 spoofed: the certificate is another one"),
        (plain, "CT1", "127.0.0.1", None, "CT1 spoofed: the connection is without TLS"),
        (plain, "CT2", "127.0.0.1", None, "CT2 spoofed: the address is outside its ranges"),
        (tls_port, "CT2", "127.0.0.4", ct1, "CT2 spoofed: the address is outside its ranges"),
        (tls_port, "CT3", "127.0.0.1", ct2, "CT3 spoofed: the certificate is for another name"),
        (plain, "CT3", "127.0.0.1", None, "CT3 spoofed: the connection is without TLS"),
    ]
    for port, title, source, context, _ in spoofs:
        called = "DICOMNODE" if context else "SOMETHING"  # the alert comes before a wrong called title
        assert associate(port, title, source, called=called, context=context) == (1, 1, 3), (title, source)
    rows = audit(node, "association.alert", before + len(spoofs) - 1)[before:]
    told = [(row["detail"]["peer"], row["detail"]["tls"], row["detail"]["alert"], row["message"]) for row in rows]
    assert sorted(told) == sorted(
        (source, context is not None, "spoofed", f"{title} was turned away: calling AE title {reason}")
        for _, title, source, context, reason in spoofs
    )
    assert {row["outcome"] for row in rows} == {"failure"}


def test_strangers_are_rejected_without_an_alert(node: Node, pki: Pki, tls_port: int) -> None:
    before = len(node.cli("audit", "list", "--kind", "association.rejected", "--limit", "1000"))
    alerts = len(node.cli("audit", "list", "--kind", "association.alert", "--limit", "1000"))
    assert associate(node.dicom_port, "ANYBODY", "127.0.0.7") == 0
    assert associate(node.dicom_port, "ANYBODY", "127.0.0.8") == (1, 1, 3)
    assert associate(node.dicom_port, "CT2", "127.0.0.2", called="SOMETHING") == (1, 1, 7)
    rows = audit(node, "association.rejected", before + 1)[before:]
    assert sorted(row["message"] for row in rows) == [
        "ANYBODY was turned away: calling AE title not recognized: the address is outside its ranges",
        "CT2 was turned away: called AE title not recognized",
    ]
    assert len(node.cli("audit", "list", "--kind", "association.alert", "--limit", "1000")) == alerts


def test_a_title_without_the_verb_may_not_store(node: Node, tmp_path: Path) -> None:
    (image,) = make_ct_series(tmp_path, 1, rows=64, seed=28)
    done = storescu([image], node.dicom_port, "DICOMNODE", "ANYBODY", "-v")
    assert "Unknown Status: 0x124" in done.stderr, done.stderr
    row = audit(node, "instance.refused")[-1]
    assert row["detail"]["status"] == "0124"


def test_the_tls_port_may_be_the_only_one(pki: Pki, tmp_path: Path) -> None:
    port = free_port()
    with Node(tmp_path, **{"dicom.tls": files(pki) | {"port": port, "only": True, "client": "request"}}) as node:
        assert echo(port, "+tla", "+cf", str(pki.hospital.cert))
        assert not echo(port)
        assert not echo(node.dicom_port)


def test_files_that_do_not_work_are_told_at_start(pki: Pki, tmp_path: Path) -> None:
    key = tmp_path / "node.key"
    key.write_bytes(pki.node.key.read_bytes())
    key.chmod(0o644)
    node = Node(tmp_path / "node", **{"dicom.tls": files(pki) | {"key": str(key), "port": free_port()}})
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


def test_sending_to_peers_that_speak_tls(pki: Pki, tmp_path: Path) -> None:
    """storescp with a certificate of a stranger, then of the hospital; Orthanc, which wants to know the node."""
    pacs, impostor = (authority.issue("pacs.example.org") for authority in (pki.hospital, pki.stranger))
    scp = StoreScp(tmp_path / "received", "-aet", "SCP", *shown(pki, impostor))
    orthanc_tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(pacs.cert),
        "DicomTlsPrivateKey": str(pacs.key),
        "DicomTlsTrustedCertificates": str(pki.hospital.cert),
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
        delivery = {"backoff_first": 0.3, "backoff_cap": 1.0}
        with Node(tmp_path / "node", site_yaml=yaml, delivery=delivery, **{"tls.hospital": files(pki)}) as node:
            check_sending(node, pki, scp, orthanc, tmp_path, pacs)


def check_sending(node: Node, pki: Pki, scp: StoreScp, orthanc: Orthanc, folder: Path, pacs: Identity) -> None:
    listed = {row["name"]: row["tls"] for row in node.cli("destinations", "list")}
    assert listed == {"scp": "hospital", "orthanc": "hospital", "in-plain-text": None}
    assert node.cli("destinations", "echo", "orthanc")["ok"]
    assert node.cli("destinations", "echo", "in-plain-text", check=False).returncode == 1
    images = make_ct_series(folder / "images", 4, rows=64, seed=29)
    assert storescu(images, node.dicom_port, "DICOMNODE", "CT1").returncode == 0
    node.wait_until(lambda: orthanc.instance_count() == 4, 30.0, "Orthanc to have all")

    def reason() -> str:
        rows = [row for row in node.cli("deliveries", "list") if row["destination"] == "scp"]
        return next((row["reason"] for row in rows if row["state"] == "pending" and row["reason"]), "")

    assert "none of the certificates in `ca` vouches for its certificate" in node.wait_until(reason, 20.0, "a reason")
    assert scp.files() == []
    scp.stop()
    scp.flags = ("-aet", "SCP", *shown(pki, pacs))
    scp.start()
    node.wait_until(lambda: len(scp.files()) == 4, 30.0, "storescp to have all")
    sent = {str(dcmread(path).SOPInstanceUID): dcmread(path).PixelData for path in images}
    assert {str(dcmread(path).SOPInstanceUID): dcmread(path).PixelData for path in scp.files()} == sent
    scp.stop()


def test_the_howto_works_as_it_is_written(tmp_path: Path) -> None:
    """Its commands make the files that its settings name, and its echoscu is welcome."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "network.md").read_text(encoding="utf-8")
    making, trying = re.findall(r"```sh\n(.*?)```", page, re.S)[:2]
    settings = re.search(r"\[dicom\.tls\]\n.*?```", page, re.S)
    assert settings is not None
    done = subprocess.run(["/bin/sh", "-e"], input=making, text=True, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    port = free_port()
    node = Node(tmp_path)
    text = settings.group().removesuffix("```").replace("2762", str(port))
    node.config.write_text(node.config.read_text(encoding="utf-8") + text, encoding="utf-8")
    with node:
        command = trying.replace("echoscu", dcmtk("echoscu")).replace("2762", str(port))
        tried = subprocess.run(
            ["/bin/sh", "-e"],
            input=command,
            text=True,
            cwd=tmp_path / "tls",
            capture_output=True,
            check=False,
            env=os.environ,
        )
        assert tried.returncode == 0, tried.stderr
