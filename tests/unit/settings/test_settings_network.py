"""Settings of the TLS port, of peers and of identities: what is wrong is said with the way out."""

from pathlib import Path

import pytest

from dicomnode.receive.admission import Admission
from dicomnode.receive.tls import ServerTls
from dicomnode.settings import Settings, SettingsError, load_settings

TLS = '[dicom.tls]\ncert = "tls/node.pem"\nkey = "tls/node.key"\nca = "tls/ca.pem"\n'
DIGEST = "0f" * 32


def load(folder: Path, text: str) -> Settings:
    file = folder / "dicomnode.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def test_files_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    settings = load(tmp_path, TLS + '[tls.hospital]\nca = "ca.pem"\ncert = "/etc/node.pem"\nkey = "node.key"\n')
    assert settings.dicom.tls is not None
    assert settings.dicom.tls.port == 2762
    folder = str(tmp_path / "tls")
    assert ServerTls.of(settings.dicom.tls) == ServerTls(
        f"{folder}/node.pem", f"{folder}/node.key", f"{folder}/ca.pem", "require"
    )
    identity = settings.tls["hospital"]
    assert (identity.ca, identity.cert, identity.key) == (
        tmp_path / "ca.pem",
        Path("/etc/node.pem"),
        tmp_path / "node.key",
    )


def test_rules_of_peers_as_openssl_prints_fingerprints(tmp_path: Path) -> None:
    printed = "sha256 Fingerprint=" + ":".join(["0F"] * 32)
    settings = load(
        tmp_path,
        '[dicom]\nallowed_calling_aets = ["CT2 "]\necho_only_aets = ["MONITOR"]\n'
        + TLS
        + '[dicom.peers."CT 1 "]\naddresses = ["10.1.0.0/16", "fd00::7"]\n'
        + f'fingerprints = ["{printed}"]\n[dicom.peers."*"]\nverbs = ["echo"]\n',
    )
    admission = Admission.of(settings.dicom)
    assert (admission.called_aets, admission.calling_aets) == (("DICOMNODE",), ("CT2",))
    own, other = admission.rules
    assert (own.calling_aet, other.calling_aet) == ("CT 1", "*")
    assert [str(network) for network in own.addresses] == ["10.1.0.0/16", "fd00::7/128"]
    assert own.fingerprints == (DIGEST,)
    assert not admission.may("MONITOR", "store")
    assert admission.may("CT 1", "store")


def test_without_settings_nothing_is_checked_but_the_called_title(tmp_path: Path) -> None:
    assert Admission.of(load(tmp_path, "").dicom) == Admission(called_aets=("DICOMNODE",))
    assert Admission.of(load(tmp_path, "[dicom]\ncheck_called_aet = false\n").dicom) == Admission()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[dicom.tls]\ncert = "a"\nkey = "b"\n', "`ca` is missing"),
        (TLS.replace("key", "kee"), "dicom.tls.key"),
        (TLS + 'client = "maybe"\n', "dicom.tls.client: Input should be 'require', 'request' or 'none'"),
        (TLS + "port = 11112\n", "port 11112 is the plain and the TLS port"),
        ('[tls.a]\nca = "x"\ncert = "y"\n', "`cert` and `key` go together"),
        ('[tls.a]\ncert = "y"\nkey = "z"\n', "tls.a.ca"),
        ("[dicom.peers.CT1]\ntls = true\n", "there is no .dicom.tls."),
        (f'[dicom.peers.CT1]\nfingerprints = ["{DIGEST}"]\n', "there is no .dicom.tls."),
        (TLS + 'client = "none"\n[dicom.peers.CT1]\nnames = ["ct1"]\n', 'tls.client is "none"'),
        ('[dicom.peers."THE NAME IS TOO LONG"]\n', "16 printable"),
        ('[dicom.peers.CT1]\n[dicom.peers."CT1 "]\n', "are the same"),
        ('[dicom]\necho_only_aets = ["CT1"]\n[dicom.peers.CT1]\n', "set peers.CT1.verbs"),
        ('[dicom.peers.CT1]\naddresses = ["10.1.2.3/16"]\n', "write 10.1.0.0/16, or the address alone"),
        ('[dicom.peers.CT1]\naddresses = ["ct1.example.org"]\n', "is no address"),
        ('[dicom.peers.CT1]\naddresses = ["::ffff:10.0.0.0/104"]\n', "write it as IPv4"),
        ('[dicom.peers.CT1]\nfingerprints = ["AB:CD"]\n', "openssl x509 -in CERT -noout -fingerprint -sha256"),
        ('[dicom.peers.CT1]\nverbs = ["find"]\n', "dicom.peers.CT1.verbs"),
        ("[dicom.peers.CT1]\nverbs = []\n", "dicom.peers.CT1.verbs"),
        ("[dicom.peers.CT1]\nadresses = []\n", "dicom.peers.CT1.adresses"),
    ],
)
def test_what_is_wrong_is_named_with_the_way_out(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load(tmp_path, text)


def test_the_tls_port_may_take_the_plain_ones_place(tmp_path: Path) -> None:
    settings = load(tmp_path, TLS + "port = 11112\nonly = true\n")
    assert settings.dicom.tls is not None
    assert settings.dicom.tls.only
