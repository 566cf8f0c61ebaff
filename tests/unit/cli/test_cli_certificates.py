"""The node's own certificates: files that do not work are told, and the end that is near."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.certificates import Authority, Identity, openssl

from dicomnode.desk.certificates import own_certificates
from dicomnode.domain.certificate import valid_until
from dicomnode.domain.tls import TlsUnusable
from dicomnode.settings import Settings, load_settings


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "hospital")


def settings(folder: Path, authority: Authority, identity: Identity) -> Settings:
    files = f'ca = "{authority.cert}"\ncert = "{identity.cert}"\nkey = "{identity.key}"\n'
    config = folder / "dicomnode.toml"
    config.write_text(f"[dicom.tls]\n{files}[tls.hospital]\n{files}[tls.research]\nca = '{authority.cert}'\n")
    return load_settings(config)


@pytest.mark.parametrize(
    ("days", "warning"), [(365, ""), (31, ""), (29, "the certificate ends on "), (-1, "the certificate has ended on ")]
)
def test_an_end_that_is_near_is_told(tmp_path: Path, authority: Authority, days: int, warning: str) -> None:
    own = list(own_certificates(settings(tmp_path, authority, authority.issue("node", days=days))))
    assert [each.setting for each in own] == ["dicom.tls.cert", "tls.hospital.cert"]
    for each in own:
        assert abs(each.until - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1)
        assert each.warning.startswith(f"{each.setting}: {warning}" if warning else "")
        assert bool(each.warning) == bool(warning)


def test_a_year_of_four_digits(authority: Authority) -> None:
    """From 2050 on the date is written in another form (RFC 5280 4.1.2.5.2)."""
    end = valid_until(authority.issue("node", days=36_500).cert)
    assert abs(end - datetime.now(UTC) - timedelta(days=36_500)) < timedelta(hours=1)


def test_the_first_certificate_of_a_chain_with_text_before_it(tmp_path: Path, authority: Authority) -> None:
    identity = authority.issue("node", days=5)
    chain = tmp_path / "chain.pem"
    chain.write_text(openssl("x509", "-text", "-in", identity.cert) + authority.cert.read_text(encoding="ascii"))
    assert valid_until(chain) == valid_until(identity.cert)


@pytest.mark.parametrize("section", ["dicom.tls", "tls.hospital"])
def test_a_key_that_does_not_fit_is_told_with_its_setting(tmp_path: Path, authority: Authority, section: str) -> None:
    config = settings(tmp_path, authority, authority.issue("node"))
    other = {"key": authority.issue("other").key}
    if section == "dicom.tls":
        assert config.dicom.tls is not None
        dicom = config.dicom.model_copy(update={"tls": config.dicom.tls.model_copy(update=other)})
        config = config.model_copy(update={"dicom": dicom})
    else:
        identity = config.tls["hospital"].model_copy(update=other)
        config = config.model_copy(update={"tls": {**config.tls, "hospital": identity}})
    with pytest.raises(TlsUnusable, match=rf"^setting {section}\.cert: the key .* does not belong to the certificate"):
        list(own_certificates(config))
