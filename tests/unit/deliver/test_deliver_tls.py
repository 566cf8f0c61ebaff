"""Sending over TLS: who is trusted, what every failure is called, and bytes, time-outs and stops as without TLS."""

import contextlib
import hashlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.certificates import Authority, Identity
from support.steps import stepping

from dicomnode.deliver import wire as wire_module
from dicomnode.deliver.content import BUFFER_BYTES, DataSet, InMemory
from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed, FailureKind
from dicomnode.deliver.tls import ClientTls, client_context
from dicomnode.deliver.wire import Wire
from dicomnode.domain import site
from dicomnode.domain.tls import TlsFiles, TlsUnusable
from dicomnode.settings import TlsIdentitySettings

PDU = b"\x04\0\0\0\0\x06abcdef"
Script = Callable[[ssl.SSLSocket], None]


@dataclass
class Pki:
    """A hospital's authority and somebody else's; what a PACS shows, and what the node does."""

    hospital: Authority
    stranger: Authority
    pacs: Identity
    node: Identity

    def files(self, **other: Path | str) -> TlsFiles:
        own = {"ca": self.hospital.cert, "cert": self.node.cert, "key": self.node.key, **other}
        return TlsFiles("tls.hospital", **{name: str(path) for name, path in own.items()})


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    hospital, stranger = Authority(folder / "hospital"), Authority(folder / "stranger")
    return Pki(hospital, stranger, hospital.issue("pacs", "DNS:localhost,DNS:pacs.example.org"), hospital.issue("node"))


def answer(peer: ssl.SSLSocket) -> None:
    """Take one PDU, send one, and hang up."""
    assert peer.recv(64) == PDU
    peer.sendall(PDU)


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A peer for one connection: its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    peer.settimeout(60.0)
                    serve(peer)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.close()
        thread.join(60.0)
        assert not thread.is_alive()


def pacs(pki: Pki, script: Script = answer, *, shows: Identity | None = None, **wants: object) -> Callable[..., None]:
    """A TLS server with the PACS' certificate; `wants` are attributes of its context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")  # as lax as a peer may be: it is the node that is strict
    identity = shows or pki.pacs
    context.load_cert_chain(identity.cert, identity.key)
    context.load_verify_locations(pki.hospital.cert)
    for name, value in wants.items():
        setattr(context, name, value)

    def serve(peer: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(peer, server_side=True) as secured:
            script(secured)

    return serve


def to(port: int, files: TlsFiles, host: str = "localhost", server_name: str = "") -> Destination:
    return Destination("pacs", "PACS", host, port, ClientTls(files, server_name))


def connect(destination: Destination, timeout: float = 60.0, stop: threading.Event | None = None) -> Wire:
    return Wire.connect(destination, timeout, stop or threading.Event())


def exchange(destination: Destination) -> None:
    """One PDU there and one back."""
    wire = connect(destination)
    try:
        wire.write(PDU, 60.0)
        assert wire.read(60.0) == (4, b"abcdef")
    finally:
        wire.close()


def failure(destination: Destination) -> AssociationFailed:
    with pytest.raises(AssociationFailed) as caught:
        exchange(destination)
    return caught.value


def refused(destination: Destination) -> str:
    """The words of a failure that people have to mend."""
    failed = failure(destination)
    assert failed.kind is FailureKind.CONFIGURATION
    return failed.reason


def test_both_sides_know_each_other(pki: Pki) -> None:
    seen: list[object] = []

    def script(peer: ssl.SSLSocket) -> None:
        seen.extend((peer.version(), peer.getpeercert(binary_form=True)))
        answer(peer)
        assert peer.recv(1) == b""  # close_notify: a cut would be an error
        seen.append("told")

    with listening(pacs(pki, script, verify_mode=ssl.CERT_REQUIRED)) as port:
        exchange(to(port, pki.files()))
    assert seen == ["TLSv1.3", pki.node.der, "told"]


def test_an_identity_without_a_certificate_suffices_where_none_is_asked_for(pki: Pki) -> None:
    with listening(pacs(pki)) as port:
        exchange(to(port, pki.files(cert="", key="")))


def test_server_name_says_what_to_expect_of_an_address(pki: Pki) -> None:
    with listening(pacs(pki)) as port:
        exchange(to(port, pki.files(), host="127.0.0.1", server_name="pacs.example.org"))


@pytest.mark.parametrize(
    ("host", "server_name", "words"),
    [
        ("127.0.0.1", "", "for another address; `server_name` of the destination says"),
        ("localhost", "other.example.org", "for another name; `server_name` of the destination says"),
    ],
)
def test_a_certificate_for_another_name(pki: Pki, host: str, server_name: str, words: str) -> None:
    with listening(pacs(pki)) as port:
        failed = failure(to(port, pki.files(), host, server_name))
    assert failed.reason.startswith(f"no TLS with pacs (PACS at {host}:{port}): its certificate is ")
    assert words in failed.reason
    assert failed.kind is FailureKind.CONFIGURATION
    assert failed.transient, "a renewed certificate mends it, without anybody retrying by hand"


def test_a_certificate_of_a_stranger(pki: Pki) -> None:
    with listening(pacs(pki, shows=pki.stranger.issue("pacs"))) as port:
        assert "none of the certificates in `ca` vouches" in refused(to(port, pki.files()))


def test_an_expired_certificate(pki: Pki) -> None:
    with listening(pacs(pki, shows=pki.hospital.issue("pacs", days=-1))) as port:
        assert "its certificate has expired" in refused(to(port, pki.files()))


def test_a_peer_that_wants_a_certificate_we_have_not(pki: Pki) -> None:
    with listening(pacs(pki, verify_mode=ssl.CERT_REQUIRED)) as port:
        assert "it wants a certificate of ours" in refused(to(port, pki.files(cert="", key="")))


def test_a_peer_that_does_not_trust_ours(pki: Pki) -> None:
    ours = pki.stranger.issue("node")
    with listening(pacs(pki, verify_mode=ssl.CERT_REQUIRED)) as port:
        reason = refused(to(port, pki.files(cert=ours.cert, key=ours.key)))
    assert "it does not trust who vouches for our certificate" in reason


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_a_peer_of_older_versions_only(pki: Pki, version: ssl.TLSVersion) -> None:
    serve = pacs(pki, minimum_version=version, maximum_version=version)
    with listening(serve) as port:
        assert "it speaks no TLS 1.2 or later" in refused(to(port, pki.files()))


def test_a_peer_of_weak_suites_only(pki: Pki) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    rsa = pki.hospital.issue("pacs", key=("rsa:2048",))
    context.load_cert_chain(rsa.cert, rsa.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-SHA256:ECDHE-RSA-AES256-SHA384")

    def serve(peer: socket.socket) -> None:
        context.wrap_socket(peer, server_side=True)

    with listening(serve) as port:
        assert "it shares no cipher suite with this node" in refused(to(port, pki.files()))


def test_a_peer_without_tls(pki: Pki) -> None:
    def serve(peer: socket.socket) -> None:
        assert peer.recv(1) == b"\x16"  # a ClientHello, where it expected an A-ASSOCIATE-RQ
        peer.sendall(b"\x07\0\0\0\0\4\0\0\2\1")

    with listening(serve) as port:
        assert "it speaks no TLS on this port" in refused(to(port, pki.files()))


def test_an_identity_that_the_settings_have_lost_never_falls_back_to_plain_text() -> None:
    entry = site.Destination(name="pacs", kind="dimse", ae_title="PACS", host="localhost", port=104, tls="hospital")
    failed = failure(Destination.of(entry, {}))
    assert failed.kind is FailureKind.CONFIGURATION
    assert "there is no [tls.hospital] in the settings file" in failed.reason


def test_a_destination_gets_the_files_of_the_identity_it_names(pki: Pki) -> None:
    identities = {"hospital": TlsIdentitySettings(ca=pki.hospital.cert, cert=pki.node.cert, key=pki.node.key)}
    entry = site.Destination(name="pacs", kind="dimse", ae_title="PACS", host="10.0.0.1", port=104)
    assert Destination.of(entry, identities).tls is None
    secured = entry.model_copy(update={"tls": "hospital", "server_name": "pacs.example.org"})
    assert Destination.of(secured, identities).tls == ClientTls(pki.files(), "pacs.example.org")


def test_the_files_are_read_at_each_connection(pki: Pki, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(pki.stranger.cert.read_bytes())
    with listening(pacs(pki)) as port:
        assert "vouches" in failure(to(port, pki.files(ca=ca))).reason
    ca.write_bytes(pki.hospital.cert.read_bytes())
    with listening(pacs(pki)) as port:
        exchange(to(port, pki.files(ca=ca)))
    ca.unlink()
    with pytest.raises(TlsUnusable, match=r"setting tls\.hospital\.ca: there is no file"):
        client_context(pki.files(ca=ca))


@pytest.mark.parametrize("limit", [0, 4096, 16_384, 131_072])
def test_a_data_set_arrives_byte_for_byte(pki: Pki, limit: int) -> None:
    data = random.Random(limit).randbytes(5_000_002)
    received = hashlib.sha256()

    def script(peer: ssl.SSLSocket) -> None:
        with peer.makefile("rb") as stream:
            last = False
            while not last:
                header = stream.read(12)
                length = int.from_bytes(header[2:6], "big")
                assert 0 < length <= (limit or 131_072)
                fragment = stream.read(length - 6)
                if not header[11] & 1:
                    received.update(fragment)
                last = header[11] == 2
        peer.sendall(PDU)

    with listening(pacs(pki, script)) as port:
        wire = connect(to(port, pki.files()))
        wire.write_message(1, b"command!", in_memory(data), limit, 60.0)
        assert wire.read(60.0) == (4, b"abcdef")
        wire.close()
    assert received.digest() == hashlib.sha256(data).digest()


def in_memory(data: bytes) -> DataSet:
    return DataSet(InMemory(data), memoryview(bytearray(BUFFER_BYTES)), begin=0)


def silent(over: threading.Event) -> Script:
    """A peer that does its handshake and then nothing."""

    def script(_: ssl.SSLSocket) -> None:
        over.wait(60.0)

    return script


@pytest.mark.parametrize("ends", ["timeout", "stop"])
def test_a_peer_that_stops_reading(pki: Pki, ends: str) -> None:
    over, stop = threading.Event(), threading.Event()
    with listening(pacs(pki, silent(over))) as port:
        wire = connect(to(port, pki.files()), stop=stop)
        if ends == "stop":
            threading.Timer(0.5, stop.set).start()
        began = time.monotonic()
        with pytest.raises(AssociationFailed) as caught:
            wire.write_message(1, b"command!", in_memory(bytes(50_000_000)), 0, 1.0 if ends == "timeout" else 60.0)
        assert caught.value.kind is (FailureKind.TIMEOUT if ends == "timeout" else FailureKind.STOPPED)
        assert time.monotonic() - began < 30.0
        wire.write_last(PDU)
        wire.close()
        over.set()


def test_a_slow_reader_is_not_silent(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes far longer in all than the time-out, yet never that long for a piece; on a clock of its own."""
    data, steps = bytes(2_000_000), stepping(wire_module, monkeypatch)

    def script(peer: ssl.SSLSocket) -> None:
        received = 0
        for part in range(20):
            while received < len(data) * part // 20:
                received += len(peer.recv(65_536))
            steps.step(1.0)
        while received < len(data):
            received += len(peer.recv(65_536))
        peer.sendall(PDU)

    def serve(peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        pacs(pki, script)(peer)

    with listening(serve) as port:
        wire = connect(to(port, pki.files()))
        wire.write_message(1, b"command!", in_memory(data), 0, 3.0)
        assert wire.read(3.0) == (4, b"abcdef")
        wire.close()
    assert steps.now == 20.0


@pytest.mark.parametrize("ends", ["timeout", "stop"])
def test_a_peer_that_is_silent_in_the_handshake(pki: Pki, ends: str) -> None:
    over, stop = threading.Event(), threading.Event()

    def serve(_: socket.socket) -> None:
        over.wait(60.0)

    with listening(serve) as port:
        if ends == "stop":
            threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        with pytest.raises(AssociationFailed) as caught:
            connect(to(port, pki.files()), 0.6 if ends == "timeout" else 60.0, stop)
        assert caught.value.kind is (FailureKind.TIMEOUT if ends == "timeout" else FailureKind.STOPPED)
        assert time.monotonic() - began < 30.0
        over.set()
