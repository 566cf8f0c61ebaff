"""Destinations that are reached over TLS: which identities may be named, and what is said of the others."""

import pytest

from dicomnode.domain.site import Destination
from dicomnode.route.site_document import SiteRefused, dump_site, read_site

DOCUMENT = """\
destinations:
  - {{name: pacs, kind: dimse, ae_title: PACS, host: 10.0.0.5, port: 2762, {more}}}
rules: []
"""


def destination(more: str, *identities: str) -> Destination:
    return read_site(DOCUMENT.format(more=more), {}, tls_identities=identities).destinations[0]


def problem(more: str, *identities: str) -> str:
    with pytest.raises(SiteRefused) as caught:
        destination(more, *identities)
    (found,) = caught.value.problems
    return str(found)


def test_an_identity_and_the_name_to_expect() -> None:
    read = destination("tls: hospital, server_name: pacs.example.org", "hospital")
    assert (read.tls, read.server_name) == ("hospital", "pacs.example.org")


def test_what_was_read_is_written_again() -> None:
    text = DOCUMENT.format(more="tls: hospital, server_name: pacs.example.org")
    site = read_site(text, {}, tls_identities=("hospital",))
    dumped = dump_site(site)
    assert "tls: hospital" in dumped
    assert read_site(dumped, {}, tls_identities=("hospital",)) == site
    plain = read_site(text.replace("tls: hospital, server_name: pacs.example.org", "enabled: true"), {})
    assert "tls" not in dump_site(plain)


def test_an_identity_that_this_node_has_not() -> None:
    assert problem("tls: hospitl", "hospital", "research") == (
        "destinations[0].tls (line 2): this node has no TLS identity 'hospitl': add [tls.hospitl] to its settings "
        "file first. Did you mean hospital?"
    )
    assert "add [tls.hospital] to its settings file first." in problem("tls: hospital")


@pytest.mark.parametrize("tls", ["true", "{ca: ca.pem}", "''"])
def test_files_stand_in_the_settings_and_not_here(tls: str) -> None:
    assert "destinations[0].tls" in problem(f"tls: {tls}", "hospital")


def test_a_name_without_tls_would_promise_what_nobody_checks() -> None:
    assert "has no meaning without tls" in problem("server_name: pacs.example.org")


@pytest.mark.parametrize("name", ["pacs example", ".example.org", "pacs/ct", "''"])
def test_a_name_that_no_certificate_can_have(name: str) -> None:
    assert "must be a host name" in problem(f"tls: hospital, server_name: {name}", "hospital")
