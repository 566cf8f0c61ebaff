"""DICOM TLS: whom it refuses. Every attack on the node, and in the long form on the peers' TLS as they set it up."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults.observed import observed
from support.certificates import openssl
from support.hospital import Hospital, echo
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import free_port
from support.targets import Target, a_storescp, an_orthanc

pytestmark = [pytest.mark.faults, pytest.mark.peers, pytest.mark.timeout(600)]

SLOW = {"artim_timeout": 120.0}
"""Nobody is sent away for being slow: clients are processes that a busy machine lets wait."""

Attack = Callable[[Hospital, Target], bool]
"""Whether it was let in."""


def shaking(*options: str) -> Attack:
    """A handshake by openssl with these options."""
    return lambda hospital, target: hospital.handshake(target.port, *options)


def asking(identity: str | None) -> Attack:
    """A C-ECHO by DCMTK that shows this certificate."""

    def attack(hospital: Hospital, target: Target) -> bool:
        shown = hospital.shown(getattr(hospital, identity) if identity else None)
        return echo(target.port, *shown, called=target.ae_title)

    return attack


def old(version: str) -> Attack:
    return shaking(version, "-cipher", "ALL:@SECLEVEL=0")


def suite(name: str) -> Attack:
    return shaking("-tls1_2", "-cipher", f"{name}:@SECLEVEL=0")


ATTACKS: dict[str, Attack] = {
    "plain text": lambda _, target: echo(target.port, called=target.ae_title),
    "no certificate": asking(None),
    "a stranger's certificate": asking("forged"),
    "an expired certificate": asking("expired"),
    "TLS 1.0": old("-tls1"),
    "TLS 1.1": old("-tls1_1"),
    "no forward secrecy": suite("AES256-GCM-SHA384"),
    "no authenticated encryption": suite("ECDHE-RSA-AES256-SHA384"),
    "no encryption": suite("NULL-SHA256"),
    "no authentication": suite("AECDH-AES256-SHA"),
    "TLS 1.3 with CCM": shaking("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"),
}
WELCOME: dict[str, Attack] = {
    "a good certificate": asking("ct1"),
    "TLS 1.2": shaking("-tls1_2"),
    "TLS 1.3": shaking("-tls1_3"),
}


def taken(cases: dict[str, Attack], hospital: Hospital, target: Target) -> list[str]:
    """Those that were let in."""
    return [name for name, attack in cases.items() if attack(hospital, target)]


def text(hospital: Hospital, target: Target) -> str:
    """For people."""
    through = ", ".join(taken(ATTACKS, hospital, target)) or "none"
    missing = ", ".join(sorted(set(WELCOME) - set(taken(WELCOME, hospital, target)))) or "none"
    return f"of {len(ATTACKS)} attacks let in: {through}; honest ones refused: {missing}"


class TlsTarget:
    """A node's TLS port."""

    def __init__(self, node: Node, port: int) -> None:
        self.node, self.port, self.ae_title = node, port, node.ae_title

    def pids(self) -> list[int]:
        return [self.node.pid]

    def stored(self) -> int:
        return 0


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(tmp_path_factory.mktemp("pki") / "pki")


@pytest.fixture(scope="module")
def target(hospital: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsTarget]:
    port = free_port()
    settings = {"dicom": SLOW, "dicom.tls": {**hospital.files, "port": port}}
    with Node(tmp_path_factory.mktemp("node"), **settings) as node:
        yield TlsTarget(node, port)


def orthanc_options(hospital: Hospital) -> dict[str, Any]:
    """TLS in Orthanc's own words; what it allows is its default."""
    files = hospital.files
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": files["cert"],
        "DicomTlsPrivateKey": files["key"],
        "DicomTlsTrustedCertificates": files["ca"],
    }


def peers(hospital: Hospital) -> dict[str, Callable[[Path], contextlib.AbstractContextManager[Target]]]:
    """Orthanc and storescp with the node's certificate."""
    return {
        "orthanc": partial(an_orthanc, **orthanc_options(hospital)),
        "storescp": lambda root: a_storescp(root, *hospital.shown(hospital.node)),
    }


@pytest.mark.parametrize("form", forms(27))
def test_whom_tls_refuses(
    form: Form, target: TlsTarget, hospital: Hospital, tmp_path: Path, record_row: RecordRow
) -> None:
    for _ in range(form["rounds"]):
        assert taken(ATTACKS, hospital, target) == []
        assert taken(WELCOME, hospital, target) == list(WELCOME)
    seen = observed(form, tmp_path, partial(text, hospital), peers(hospital))
    record_row(form, node=text(hospital, target), **seen)
    rows = target.node.wait_until(lambda: target.node.cli("audit", "list", "--kind", "connection.dropped"), 60.0, "row")
    assert {row["detail"]["peer"] for row in rows} == {"127.0.0.1"}
    assert any(row["message"].startswith("127.0.0.1 never opened an association: TLS: ") for row in rows)


def test_suites_of_tls_1_2(target: TlsTarget, hospital: Hospital) -> None:
    """Every suite that openssl knows, one by one: BCP 195's for a certificate of RSA, and nothing else."""
    known = openssl("ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").strip().split(":")
    candidates = [each for each in known if not each.startswith("TLS_") and "PSK" not in each and "SRP" not in each]
    assert len(candidates) > 40
    assert {each for each in candidates if suite(each)(hospital, target)} == {
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
    }
