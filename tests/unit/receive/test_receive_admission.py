"""Who is let in: titles, address ranges, certificates, and which of the rules has the last word."""

import hashlib
import json
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicomnode.domain.peer import ANY_OTHER
from dicomnode.receive.admission import SPOOFED, Admission, Applicant, Rejection
from dicomnode.receive.peer_rules import PeerRule, address_of

CERTIFICATE = b"the DER of a certificate"
DIGEST = hashlib.sha256(CERTIFICATE).hexdigest()
CT1 = Applicant("CT1", "DICOMNODE", "10.1.2.3", 40000)
CT1_TLS = replace(CT1, tls=True, certificate=CERTIFICATE, certificate_names=("ct1.example.org", "10.1.2.3"))

titles = st.sampled_from(["CT1", "CT2", "MR1", "US1"])
networks = st.one_of(
    st.builds(
        lambda address, bits: ip_network(f"{address}/{bits}", strict=False),
        st.ip_addresses(v=4),
        st.integers(0, 32),
    ),
    st.builds(
        lambda address, bits: ip_network(f"{address}/{bits}", strict=False),
        st.ip_addresses(v=6),
        st.integers(0, 128),
    ),
)


def code(rejection: Rejection | None) -> tuple[int, int, int] | None:
    return rejection and (rejection.result, rejection.source, rejection.diagnostic)


def ruled(**rule: object) -> Admission:
    return Admission(rules=(PeerRule("CT1", **rule),))  # type: ignore[arg-type]


@st.composite
def admissions(draw: st.DrawFn) -> Admission:
    ruled_titles = draw(st.lists(st.sampled_from(["CT1", "CT2", ANY_OTHER]), unique=True))
    rules = tuple(
        PeerRule(
            title,
            addresses=tuple(draw(st.lists(networks, max_size=3))),
            tls=draw(st.booleans()),
            verbs=draw(st.sampled_from([("echo",), ("store",), ("echo", "store")])),
        )
        for title in ruled_titles
    )
    return Admission(
        called_aets=draw(st.sampled_from([(), ("DICOMNODE",)])),
        calling_aets=tuple(draw(st.lists(titles, unique=True, max_size=2))),
        rules=rules,
        echo_only_aets=draw(st.sampled_from([(), ("US1",)])),
    )


applicants = st.builds(
    Applicant,
    titles,
    st.sampled_from(["DICOMNODE", "OTHER"]),
    st.ip_addresses().map(str),
    st.just(40000),
    st.booleans(),
)


def test_without_rules_everybody_is_let_in() -> None:
    assert Admission().judge(CT1) is None
    assert Admission().may("CT1", "store")
    assert Admission().may("CT1", "echo")


@pytest.mark.parametrize("called", ["OTHER", "", "dicomnode", "DICOMNODE2"])
def test_a_called_title_that_is_not_ours(called: str) -> None:
    rejection = Admission(called_aets=("DICOMNODE",)).judge(replace(CT1, called_aet=called))
    assert rejection == Rejection(1, 1, 7, "called AE title not recognized")


@pytest.mark.parametrize("calling", ["MR1", "", "ct1", "*"])
def test_a_calling_title_that_is_not_listed(calling: str) -> None:
    rejection = Admission(calling_aets=("CT1", "CT2")).judge(replace(CT1, calling_aet=calling))
    assert rejection == Rejection(1, 1, 3, "calling AE title not recognized")


def test_spaces_at_the_ends_of_titles_mean_nothing() -> None:
    admission = Admission(("DICOMNODE",), ("CT1",), (PeerRule("CT1", (IPv4Network("10.0.0.0/8"),)),))
    padded = replace(CT1, calling_aet=" CT1   ", called_aet="DICOMNODE ")
    assert admission.judge(padded) is None
    assert admission.judge(replace(padded, address="192.0.2.1")).alert == SPOOFED  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("rule", "change", "reason"),
    [
        ({"addresses": (IPv4Network("10.1.2.0/28"),)}, {"address": "10.1.2.16"}, "the address is outside its ranges"),
        ({"addresses": (IPv4Network("10.1.2.3"),)}, {"address": "::1"}, "the address is outside its ranges"),
        ({"addresses": (IPv4Network("0.0.0.0/0"),)}, {"address": "unix"}, "the address is outside its ranges"),
        ({"tls": True}, {"tls": False}, "the connection is without TLS"),
        ({"fingerprints": (DIGEST,)}, {"tls": False, "certificate": None}, "the connection is without TLS"),
        ({"fingerprints": (DIGEST,)}, {"certificate": None}, "no certificate was shown"),
        ({"fingerprints": (DIGEST,)}, {"certificate": b"another"}, "the certificate is another one"),
        ({"names": ("ct1.example.org",)}, {"certificate": None}, "no certificate was shown"),
        ({"names": ("ct1.example.org",)}, {"certificate_names": ()}, "the certificate is for another name"),
        ({"names": ("ct1.example.org",)}, {"certificate_names": ("*.example.org",)}, "for another name"),
        ({"names": ("ct1.example.org",), "fingerprints": (DIGEST,)}, {"certificate": b"another"}, "another one"),
        ({"names": ("ct1.example.org",), "fingerprints": (DIGEST,)}, {"certificate_names": ("ct2",)}, "another name"),
    ],
)
def test_a_spoofed_title_is_told_apart(rule: dict[str, object], change: dict[str, object], reason: str) -> None:
    assert ruled(**rule).judge(CT1_TLS) is None
    rejection = ruled(**rule).judge(replace(CT1_TLS, **change))  # type: ignore[arg-type]
    assert rejection is not None
    assert (code(rejection), rejection.alert) == ((1, 1, 3), SPOOFED)
    assert rejection.reason.startswith("calling AE title CT1 spoofed: ")
    assert rejection.reason.endswith(reason)


def test_of_several_certificates_and_names_one_suffices() -> None:
    other = hashlib.sha256(b"last year's").hexdigest()
    assert ruled(fingerprints=(other, DIGEST), names=("CT1.Example.org", "ct2")).judge(CT1_TLS) is None


@pytest.mark.parametrize("address", ["::ffff:10.1.2.3", "10.1.2.3"])
def test_an_ipv4_peer_of_an_ipv6_listener_keeps_its_address(address: str) -> None:
    assert ruled(addresses=(IPv4Network("10.1.0.0/16"),)).judge(replace(CT1, address=address)) is None


def test_a_link_local_address_belongs_to_its_range_in_any_zone() -> None:
    assert ruled(addresses=(IPv6Network("fe80::/10"),)).judge(replace(CT1, address="fe80::1%eth0")) is None


def test_the_rule_for_any_other_is_no_identity_to_steal() -> None:
    admission = Admission(rules=(PeerRule(ANY_OTHER, (IPv4Network("10.0.0.0/8"),), verbs=("echo",)),))
    assert admission.judge(CT1) is None
    assert not admission.may("CT1", "store")
    rejection = admission.judge(replace(CT1, address="192.0.2.1"))
    assert rejection == Rejection(1, 1, 3, "calling AE title not recognized: the address is outside its ranges")


def test_rules_for_titles_shut_out_all_others() -> None:
    admission = Admission(rules=(PeerRule("CT1"),))
    assert admission.judge(CT1) is None
    assert code(admission.judge(replace(CT1, calling_aet="CT2"))) == (1, 1, 3)


def test_verbs() -> None:
    admission = Admission(rules=(PeerRule("CT1", verbs=("store",)), PeerRule(ANY_OTHER)), echo_only_aets=("MONITOR",))
    may = {
        (title, verb)
        for title in ("CT1", "MONITOR", "US1 ")
        for verb in ("echo", "store")
        if admission.may(title, verb)
    }
    assert may == {("CT1", "store"), ("MONITOR", "echo"), ("US1 ", "echo"), ("US1 ", "store")}


@given(st.lists(networks, min_size=1, max_size=4), st.data())
def test_every_address_of_a_range_is_let_in(ranges: list[IPv4Network | IPv6Network], data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(ranges))
    address = data.draw(st.ip_addresses(network=chosen))
    assume(getattr(address, "ipv4_mapped", None) is None)  # an IPv4 peer; settings refuse such ranges
    assert ruled(addresses=tuple(ranges)).judge(replace(CT1, address=str(address))) is None


@given(st.lists(networks, min_size=1, max_size=4), st.ip_addresses())
def test_every_address_outside_is_a_spoof(ranges: list[IPv4Network | IPv6Network], address: object) -> None:
    number, bits = int(address_of(str(address)) or 0), (address_of(str(address)) or ip_address("::")).max_prefixlen
    inside = any(
        each.max_prefixlen == bits and int(each.network_address) <= number <= int(each.broadcast_address)
        for each in ranges
    )
    rejection = ruled(addresses=tuple(ranges)).judge(replace(CT1, address=str(address)))
    assert (rejection is None) == inside
    assert rejection is None or rejection.alert == SPOOFED


@given(admissions(), applicants)
def test_precedence(admission: Admission, applicant: Applicant) -> None:
    """Spoofed before called title before calling title; the title's own rule before that for any other."""
    rules = {rule.calling_aet: rule for rule in admission.rules}
    own, other = rules.get(applicant.calling_aet), rules.get(ANY_OTHER)
    rule = own or other
    kept = rule is None or (rule.lets_in(applicant.address) and (applicant.tls or not rule.tls))
    rejection = admission.judge(applicant)
    if own is not None and not kept:
        assert code(rejection) == (1, 1, 3)
        assert rejection is not None
        assert rejection.alert == SPOOFED
        return
    assert rejection is None or not rejection.alert
    if admission.called_aets and applicant.called_aet not in admission.called_aets:
        assert code(rejection) == (1, 1, 7)
    elif own is not None or applicant.calling_aet in admission.calling_aets:
        assert (rejection is None) == kept
    elif admission.calling_aets or (rules and other is None):
        assert code(rejection) == (1, 1, 3)
    else:
        assert (rejection is None) == kept


@given(admissions(), applicants)
def test_a_rule_for_any_other_never_widens_a_list(admission: Admission, applicant: Applicant) -> None:
    assume(admission.calling_aets)
    closed = replace(admission, rules=tuple(rule for rule in admission.rules if rule.calling_aet != ANY_OTHER))
    if closed.judge(applicant) is not None:
        assert admission.judge(applicant) is not None


@given(admissions(), applicants)
def test_another_process_judges_alike(admission: Admission, applicant: Applicant) -> None:
    again = Admission.from_document(json.loads(json.dumps(admission.to_document())))
    assert again == admission
    assert again.judge(applicant) == admission.judge(applicant)
