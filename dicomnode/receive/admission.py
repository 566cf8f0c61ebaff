"""Who is let in: one pure judgement on each A-ASSOCIATE-RQ, by AE titles, address and certificate (PS3.8 9.3.4).

Titles are judged without their leading and trailing spaces, which mean nothing (PS3.5 6.2), and with regard to case.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicomnode.domain.peer import ANY_OTHER
from dicomnode.receive.peer_rules import COMMIT, ECHO, REPORT, VERBS, PeerRule

if TYPE_CHECKING:
    from dicomnode.settings import DicomSettings

_PERMANENT, _SERVICE_USER = 1, 1
_CALLING_AET_NOT_RECOGNIZED, _CALLED_AET_NOT_RECOGNIZED = 3, 7

SPOOFED = "spoofed"
"""The alert for a title with a rule of its own, used by someone who does not keep to that rule."""


@dataclass(frozen=True)
class Applicant:
    """Who asks for an association, and what stands behind the name."""

    calling_aet: str
    called_aet: str
    address: str
    port: int
    tls: bool = False
    certificate: bytes | None = None
    """DER of the client's certificate, verified by the TLS handshake."""
    certificate_names: tuple[str, ...] = ()
    """Its common names and subject alternative names; see `receive.tls.certificate_of`."""


@dataclass(frozen=True)
class Rejection:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4) and, for the audit alone, why. The peer learns no more than the three numbers."""

    result: int
    source: int
    diagnostic: int
    reason: str
    alert: str = ""
    """Not empty where somebody should look: `SPOOFED`."""


@dataclass(frozen=True)
class Admission:
    """The rules in force. The default lets everybody in."""

    called_aets: tuple[str, ...] = ()
    """The titles we answer to; empty: any."""
    calling_aets: tuple[str, ...] = ()
    """The titles that may call, beside those with a rule of their own; empty: see `knows`."""
    rules: tuple[PeerRule, ...] = ()
    """At most one for each calling AE title."""
    echo_only_aets: tuple[str, ...] = ()
    """Titles that may do nothing but C-ECHO, whatever the rule for any other says."""
    commitment: bool = False
    """Whether storage commitment may be asked of this node at all."""

    @classmethod
    def of(cls, dicom: "DicomSettings") -> "Admission":
        """The rules as the settings have them."""
        return cls(
            called_aets=(dicom.ae_title.strip(),) if dicom.check_called_aet else (),
            calling_aets=tuple(title.strip() for title in dicom.allowed_calling_aets),
            rules=tuple(PeerRule.of(title, peer) for title, peer in dicom.peers.items()),
            echo_only_aets=tuple(title.strip() for title in dicom.echo_only_aets),
            commitment=dicom.commitment,
        )

    def judge(self, applicant: Applicant) -> Rejection | None:
        """None lets in.

        A spoofed title comes first, since whoever tries called titles with it is to be heard of; then the called AE
        title, then the calling.
        """
        rule = self.rule_for(applicant.calling_aet)
        fault = _fault(rule, applicant) if rule is not None else ""
        if rule is not None and fault and rule.calling_aet != ANY_OTHER:
            return _stranger(f"calling AE title {rule.calling_aet} spoofed: {fault}", SPOOFED)
        if self.called_aets and applicant.called_aet.strip() not in self.called_aets:
            return Rejection(_PERMANENT, _SERVICE_USER, _CALLED_AET_NOT_RECOGNIZED, "called AE title not recognized")
        if not self.knows(applicant.calling_aet):
            return _stranger("calling AE title not recognized")
        return _stranger(f"calling AE title not recognized: {fault}") if fault else None

    def may(self, calling_aet: str, verb: str) -> bool:
        """Whether a title that was let in may use one of the `VERBS`, or `REPORT`."""
        if calling_aet.strip() in self.echo_only_aets:
            return verb == ECHO
        rule = self.rule_for(calling_aet)
        verbs = rule.verbs if rule is not None else VERBS
        if verb == REPORT:
            return set(verbs) != {ECHO}
        return verb in verbs and (verb != COMMIT or self.commitment)

    def knows(self, calling_aet: str) -> bool:
        """Whether the title may call at all.

        A list of titles, or rules for titles, shut out every other; a rule for any other opens to all, unless there
        is a list.
        """
        title = calling_aet.strip()
        ruled = {rule.calling_aet for rule in self.rules}
        if title in self.calling_aets or title in ruled - {ANY_OTHER}:
            return True
        return not self.calling_aets and (not ruled or ANY_OTHER in ruled)

    def rule_for(self, calling_aet: str) -> PeerRule | None:
        """The title's own rule, or else that for any other."""
        found = {rule.calling_aet: rule for rule in self.rules}
        return found.get(calling_aet.strip()) or found.get(ANY_OTHER)

    def to_document(self) -> dict[str, Any]:
        """Plain JSON, for `from_document` in another process."""
        return {
            "called_aets": list(self.called_aets),
            "calling_aets": list(self.calling_aets),
            "rules": [rule.to_document() for rule in self.rules],
            "echo_only_aets": list(self.echo_only_aets),
            "commitment": self.commitment,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Admission":
        return cls(
            tuple(document["called_aets"]),
            tuple(document["calling_aets"]),
            tuple(PeerRule.from_document(rule) for rule in document["rules"]),
            tuple(document["echo_only_aets"]),
            document["commitment"],
        )


def _stranger(reason: str, alert: str = "") -> Rejection:
    return Rejection(_PERMANENT, _SERVICE_USER, _CALLING_AET_NOT_RECOGNIZED, reason, alert)


def _fault(rule: PeerRule, applicant: Applicant) -> str:
    """What speaks against the applicant by the rule, in words; empty: nothing."""
    if not rule.lets_in(applicant.address):
        return "the address is outside its ranges"
    if (rule.tls or rule.needs_certificate) and not applicant.tls:
        return "the connection is without TLS"
    if rule.needs_certificate and applicant.certificate is None:
        return "no certificate was shown"
    if rule.fingerprints and hashlib.sha256(applicant.certificate or b"").hexdigest() not in rule.fingerprints:
        return "the certificate is another one"
    if rule.names and not _folded(rule.names) & _folded(applicant.certificate_names):
        return "the certificate is for another name"
    return ""


def _folded(names: tuple[str, ...]) -> set[str]:
    return {name.casefold() for name in names}
