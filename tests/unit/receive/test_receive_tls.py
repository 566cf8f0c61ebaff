"""The TLS port's context: what it takes, what it refuses, and the words for files that do not fit."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.certificates import Authority, Identity, openssl

from dicomnode.domain.tls import TlsUnusable
from dicomnode.receive.tls import ServerTls, certificate_of, server_context


@dataclass
class Pki:
    """A hospital's authority, somebody else's, and the node's own files."""

    hospital: Authority
    stranger: Authority
    node: Identity
    scanner: Identity

    @property
    def tls(self) -> ServerTls:
        return ServerTls(str(self.node.cert), str(self.node.key), str(self.hospital.cert))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    hospital, stranger = Authority(folder / "hospital"), Authority(folder / "stranger")
    scanner = hospital.issue("ct1.example.org", "DNS:ct1.example.org,DNS:CT1,IP:10.1.2.3,email:x@example.org")
    return Pki(hospital, stranger, hospital.issue("node"), scanner)


def client(pki: Pki, identity: Identity | None = None) -> ssl.SSLContext:
    """A client that takes whatever the server wants; tests narrow it down."""
    context = ssl.create_default_context(cafile=str(pki.hospital.cert))
    if identity is not None:
        context.load_cert_chain(identity.cert, identity.key)
    return context


@dataclass
class Met:
    """What came of one connection, as the server saw it."""

    version: str | None = None
    cipher: str = ""
    certificate: bytes | None = None
    names: tuple[str, ...] = ()
    received: bytes = b""
    refused: str = ""


def serve_one(listener: socket.socket, context: ssl.SSLContext, met: Met) -> None:
    plain, _ = listener.accept()
    plain.settimeout(60.0)
    with plain:
        try:
            with context.wrap_socket(plain, server_side=True) as tls:
                met.version, met.cipher = tls.version(), (tls.cipher() or ("",))[0]
                met.certificate, met.names = certificate_of(tls)
                met.received = tls.recv(16)
                tls.sendall(b"welcome")
        except OSError as error:
            met.refused = str(getattr(error, "reason", None) or error)


@contextlib.contextmanager
def meeting(tls: ServerTls) -> Iterator[tuple[int, Met]]:
    """A port that serves one connection; what it saw is in `Met` after the block."""
    met = Met()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_one, args=(listener, server_context(tls), met), daemon=True)
        thread.start()
        yield listener.getsockname()[1], met
        thread.join(60.0)
        assert not thread.is_alive()


def meet(tls: ServerTls, context: ssl.SSLContext) -> tuple[Met, str]:
    """One connection: what the server saw, and why the client was not welcome."""
    with meeting(tls) as (port, met):
        why = ""
        with socket.create_connection(("127.0.0.1", port), 60.0) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="localhost") as secured:
                    secured.sendall(b"hello")
                    assert secured.recv(16) == b"welcome"
            except OSError as error:
                why = str(getattr(error, "reason", None) or error) or type(error).__name__
            except AssertionError:
                why = "hung up"
    return met, why


def test_the_good_client_is_welcome_and_known(pki: Pki) -> None:
    met, why = meet(pki.tls, client(pki, pki.scanner))
    assert (why, met.refused, met.received) == ("", "", b"hello")
    assert met.version == "TLSv1.3"
    assert met.certificate == pki.scanner.der
    assert met.names == ("ct1.example.org", "CT1", "10.1.2.3")


def test_tls_1_2_is_spoken_too(pki: Pki) -> None:
    context = client(pki, pki.scanner)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    met, why = meet(pki.tls, context)
    assert (why, met.version) == ("", "TLSv1.2")
    assert met.cipher.startswith("ECDHE-ECDSA-AES256-GCM")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(pki: Pki, version: ssl.TLSVersion) -> None:
    context = client(pki, pki.scanner)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    met, why = meet(pki.tls, context)
    assert met.refused == "UNSUPPORTED_PROTOCOL"
    assert why == "TLSV1_ALERT_PROTOCOL_VERSION"


@pytest.mark.parametrize(
    "suite", ["AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-AES128-SHA"]
)
def test_suites_without_forward_secrecy_or_authenticated_encryption_are_refused(pki: Pki, suite: str) -> None:
    node = pki.hospital.issue("rsa", key=("rsa:2048",))
    context = client(pki, pki.scanner)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    met, why = meet(replace(pki.tls, cert=str(node.cert), key=str(node.key)), context)
    assert (met.refused, why) == ("NO_SHARED_CIPHER", "SSLV3_ALERT_HANDSHAKE_FAILURE")


def test_a_client_without_a_certificate_is_refused(pki: Pki) -> None:
    met, why = meet(pki.tls, client(pki))
    assert met.refused == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert why


def test_a_certificate_of_a_stranger_is_refused(pki: Pki) -> None:
    met, why = meet(pki.tls, client(pki, pki.stranger.issue("ct1.example.org")))
    assert met.refused == "CERTIFICATE_VERIFY_FAILED"
    assert why


@pytest.mark.parametrize("wanted", ["require", "request"])
def test_an_expired_certificate_is_refused(pki: Pki, wanted: str) -> None:
    met, why = meet(replace(pki.tls, client=wanted), client(pki, pki.hospital.issue("ct1", days=-1)))
    assert met.refused == "CERTIFICATE_VERIFY_FAILED"
    assert why


def test_plain_text_is_refused(pki: Pki) -> None:
    with meeting(pki.tls) as (port, met), socket.create_connection(("127.0.0.1", port), 60.0) as plain:
        plain.sendall(bytes.fromhex("0100 0000 00cd 0001 0000") + b"DICOMNODE       MODALITY        ")
        with contextlib.suppress(ConnectionError):
            assert plain.recv(64)[:1] in (b"", b"\x15")  # nothing, or a TLS alert
    assert met.refused in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


def test_a_requested_certificate_may_be_left_out(pki: Pki) -> None:
    met, why = meet(replace(pki.tls, client="request"), client(pki))
    assert (why, met.certificate, met.names) == ("", None, ())
    met, why = meet(replace(pki.tls, client="request"), client(pki, pki.scanner))
    assert (why, met.certificate) == ("", pki.scanner.der)


def test_none_asks_for_none(pki: Pki) -> None:
    met, why = meet(ServerTls(str(pki.node.cert), str(pki.node.key), client="none"), client(pki, pki.scanner))
    assert (why, met.certificate) == ("", None)


def test_no_ticket_is_given(pki: Pki) -> None:
    """With a ticket a client would come back without its certificate being looked at."""
    context = client(pki, pki.scanner)
    with (
        meeting(pki.tls) as (port, _),
        socket.create_connection(("127.0.0.1", port), 60.0) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"hello")
        assert secured.recv(16) == b"welcome"
        assert secured.session is not None
        assert (secured.session.has_ticket, secured.session.id) == (False, b"")


def test_the_files_of_another_process_are_the_same(pki: Pki) -> None:
    assert ServerTls(**pki.tls.to_document()) == pki.tls


def copies(pki: Pki, folder: Path) -> ServerTls:
    """The node's files, where a test may spoil them."""
    tls = ServerTls(str(folder / "node.pem"), str(folder / "node.key"), str(folder / "ca.pem"))
    for name, source in ((tls.cert, pki.node.cert), (tls.key, pki.node.key), (tls.ca, pki.hospital.cert)):
        Path(name).write_bytes(source.read_bytes())
        Path(name).chmod(0o600)
    return tls


@pytest.mark.parametrize("name", ["cert", "key", "ca"])
def test_a_file_that_is_not_there_or_not_pem(pki: Pki, tmp_path: Path, name: str) -> None:
    tls = copies(pki, tmp_path)
    path = Path(getattr(tls, name))
    path.write_text("nonsense\n", encoding="ascii")
    with pytest.raises(TlsUnusable, match=r"in PEM format$"):
        server_context(tls)
    path.unlink()
    with pytest.raises(TlsUnusable, match=rf"^setting dicom\.tls\.{name}: there is no file {path}$"):
        server_context(tls)
    path.mkdir()
    with pytest.raises(TlsUnusable, match=rf"^setting dicom\.tls\.{name}: {path} cannot be read: Is a directory$"):
        server_context(tls)


def test_a_key_of_another_certificate(pki: Pki, tmp_path: Path) -> None:
    tls = copies(pki, tmp_path)
    Path(tls.key).write_bytes(pki.scanner.key.read_bytes())
    with pytest.raises(TlsUnusable, match="does not belong to the certificate"):
        server_context(tls)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_key_that_everybody_may_read(pki: Pki, tmp_path: Path, mode: int) -> None:
    tls = copies(pki, tmp_path)
    Path(tls.key).chmod(mode)
    with pytest.raises(TlsUnusable, match=r"every user of this machine may .* `chmod o= "):
        server_context(tls)


def test_a_key_for_the_group_is_an_administrators_choice(pki: Pki, tmp_path: Path) -> None:
    tls = copies(pki, tmp_path)
    Path(tls.key).chmod(0o640)
    assert server_context(tls).verify_mode is ssl.CERT_REQUIRED


def test_an_encrypted_key_asks_nobody_for_its_password(pki: Pki, tmp_path: Path) -> None:
    tls = copies(pki, tmp_path)
    openssl("pkey", "-in", pki.node.key, "-aes256", "-passout", "pass:secret", "-out", tls.key)
    Path(tls.key).chmod(0o600)
    with pytest.raises(TlsUnusable, match=r"is encrypted.*openssl pkey -in"):
        server_context(tls)


def test_a_weak_key(pki: Pki, tmp_path: Path) -> None:
    weak = pki.hospital.issue("weak", key=("rsa:1024",))
    with pytest.raises(TlsUnusable, match="too weak"):
        server_context(replace(pki.tls, cert=str(weak.cert), key=str(weak.key)))
