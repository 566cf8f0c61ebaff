"""Spoofed AE titles and addresses: rejected with the right reason, and an alert in the audit log for each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults.observed import observed
from support.hospital import Hospital, asked
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import free_port
from support.targets import Target, a_storescp, an_orthanc

pytestmark = [pytest.mark.faults, pytest.mark.peers, pytest.mark.timeout(600)]

STRANGER, NOT_US = (1, 1, 3), (1, 1, 7)
"""A-ASSOCIATE-RJ: calling, called AE title not recognized (PS3.8 9.3.4)."""


@dataclass(frozen=True)
class Caller:
    """Who calls; `shows` is one of the hospital's certificates, over TLS, and None calls in plain text."""

    title: str
    source: str
    shows: str | None = None
    called: str = "DICOMNODE"


HONEST = (
    Caller("CT1", "127.0.0.1", "ct1"),
    Caller("CT2", "127.0.0.2"),
    Caller("CT2", "127.0.0.3"),
    Caller("CT2", "127.0.0.2", "ct2"),
    Caller("CT3", "127.0.0.9", "ct1"),
    Caller("ANYBODY", "127.0.0.7"),
)
SPOOFS = {
    Caller("CT1", "127.0.0.4", "ct1"): "CT1 spoofed: the address is outside its ranges",
    Caller("CT1", "127.0.0.1", "ct2"): "CT1 spoofed: the certificate is another one",
    Caller("CT1", "127.0.0.1"): "CT1 spoofed: the connection is without TLS",
    Caller("CT2", "127.0.0.1"): "CT2 spoofed: the address is outside its ranges",
    Caller("CT2", "127.0.0.4", "ct2"): "CT2 spoofed: the address is outside its ranges",
    Caller("CT3", "127.0.0.1", "ct2"): "CT3 spoofed: the certificate is for another name",
    Caller("CT3", "127.0.0.1"): "CT3 spoofed: the connection is without TLS",
    Caller("CT2", "127.0.0.5", called="SOMEBODY"): "CT2 spoofed: the address is outside its ranges",
}
STRANGERS = {
    Caller("ANYBODY", "127.0.0.8"): (STRANGER, "calling AE title not recognized: the address is outside its ranges"),
    Caller("CT2", "127.0.0.2", called="SOMEBODY"): (NOT_US, "called AE title not recognized"),
    Caller("ct2", "127.0.0.9"): (STRANGER, "calling AE title not recognized: the address is outside its ranges"),
}


@dataclass
class Guarded:
    """A node that knows CT1 by its certificate, CT2 by its address, CT3 by a name; others from 127.0.0.0 to .7."""

    node: Node
    tls_port: int
    hospital: Hospital

    def ask(self, caller: Caller) -> tuple[int, int, int] | int:
        tls = self.hospital.client(getattr(self.hospital, caller.shows)) if caller.shows else None
        port = self.tls_port if tls else self.node.dicom_port
        return asked(port, caller.title, caller.source, tls, called=caller.called)

    def told(self, kind: str, after: int, count: int) -> list[dict[str, Any]]:
        """The audit events of this kind with a higher ID, once there are so many."""

        def found() -> list[dict[str, Any]] | None:
            rows = self.node.cli("audit", "list", "--kind", kind, "--limit", "5000")
            new = [row for row in rows if row["id"] > after]
            return new if len(new) >= count else None

        return self.node.wait_until(found, 60.0, f"{count} of {kind} in the audit log") or []

    def last_event(self) -> int:
        return max(int(row["id"]) for row in self.node.cli("audit", "list", "--limit", "50"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder, port = tmp_path_factory.mktemp("spoofed"), free_port()
    hospital = Hospital(folder / "pki")
    settings: dict[str, dict[str, Any]] = {
        "dicom.tls": {**hospital.files, "port": port},
        "dicom.peers.CT1": {"fingerprints": [hospital.ct1.fingerprint], "addresses": ["127.0.0.1"]},
        "dicom.peers.CT2": {"addresses": ["127.0.0.2/31"]},
        "dicom.peers.CT3": {"names": ["ct3.example.org", "ct1.example.org"]},
        'dicom.peers."*"': {"addresses": ["127.0.0.0/29"], "verbs": ["echo"]},
    }
    with Node(folder / "node", **settings) as node:
        yield Guarded(node, port, hospital)


def text(target: Target) -> str:
    """What a peer says to a known title from another address, and to an unknown one."""
    spoofed = asked(target.port, "CT2", "127.0.0.5", called=target.ae_title)
    unknown = asked(target.port, "NOBODY", "127.0.0.5", called=target.ae_title)
    said = ["let in" if answer == 0 else f"answered {answer}" for answer in (spoofed, unknown)]
    return f"a known title from another address: {said[0]}; an unknown one: {said[1]}"


ORTHANC = {
    "DicomAlwaysAllowEcho": False,
    "DicomAlwaysAllowStore": False,
    "DicomCheckModalityHost": True,
    "DicomModalities": {"ct2": ["CT2", "127.0.0.2", 104]},
}
"""As strict about titles and addresses as its settings allow."""


@pytest.mark.parametrize("form", forms(28))
def test_spoofed_titles(form: Form, guarded: Guarded, tmp_path: Path, record_row: RecordRow) -> None:
    rounds = form["rounds"]
    before = guarded.last_event()
    for _ in range(rounds):
        assert [guarded.ask(caller) for caller in HONEST] == [0] * len(HONEST)
        assert {caller: guarded.ask(caller) for caller in SPOOFS} == dict.fromkeys(SPOOFS, STRANGER)
        assert [guarded.ask(caller) for caller in STRANGERS] == [code for code, _ in STRANGERS.values()]
    alerts = guarded.told("association.alert", before, rounds * len(SPOOFS))
    told = [(row["detail"]["peer"], row["detail"]["tls"], row["detail"]["alert"], row["message"]) for row in alerts]
    assert sorted(told) == sorted(rounds * [
        (caller.source, bool(caller.shows), "spoofed", f"{caller.title} was turned away: calling AE title {reason}")
        for caller, reason in SPOOFS.items()
    ])  # fmt: skip
    rejected = guarded.told("association.rejected", before, rounds * len(STRANGERS))
    assert sorted(row["message"] for row in rejected) == sorted(
        rounds * [f"{caller.title} was turned away: {reason}" for caller, (_, reason) in STRANGERS.items()]
    )
    assert {row["outcome"] for row in (*alerts, *rejected)} == {"failure"}
    seen = observed(form, tmp_path, text, {"orthanc": partial(an_orthanc, **ORTHANC), "storescp": a_storescp})
    record_row(form, node=f"{len(alerts)} spoofed titles rejected 1/1/3, {len(alerts)} alerts", **seen)
