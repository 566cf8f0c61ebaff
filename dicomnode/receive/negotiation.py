"""Presentation contexts: which are accepted, in which transfer syntax, and in which roles (PS3.7 D.3)."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicomnode.domain.availability import AVAILABILITY_NOTIFICATION
from dicomnode.domain.commitment import STORAGE_COMMITMENT
from dicomnode.domain.data_set import NATIVE
from dicomnode.domain.uid import IMPLEMENTATION_CLASS_UID
from dicomnode.domain.usable_uid import is_usable_uid
from dicomnode.receive.pdu import PDU_HEADER, PduType
from dicomnode.receive.peer_rules import COMMIT, ECHO, REPORT, STORE
from dicomnode.receive.request import (
    APPLICATION_CONTEXT,
    DEFAULT_ROLES,
    AssociationRequest,
    ProposedContext,
    Roles,
)
from dicomnode.receive.storage_classes import is_storage_class
from dicomnode.receive.transfer_syntaxes import by_preference
from dicomnode.store.part10 import IMPLEMENTATION_VERSION_NAME

VERIFICATION = "1.2.840.10008.1.1"

_ACCEPTANCE, _USER_REJECTION, _ABSTRACT_SYNTAX_NOT_SUPPORTED, _TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 1, 3, 4
_NO_ROLE = Roles(scu=False, scp=False)
_NATIVE_ONLY = (STORAGE_COMMITMENT, AVAILABILITY_NOTIFICATION)
"""Classes whose data sets are read here, and have no pixels."""
_NOT_STORED = (VERIFICATION, *_NATIVE_ONLY)
"""Classes that are taken, beside those of storage."""
_ITEM = struct.Struct(">BxH")


@dataclass(frozen=True)
class AcceptedContext:
    """A presentation context in force: what it is for, how its data sets are encoded, what the requestor is in it."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    roles: Roles = DEFAULT_ROLES


def negotiate(
    request: AssociationRequest, may: Callable[[str], bool] = lambda verb: True
) -> dict[int, AcceptedContext]:
    """What is accepted, by context ID; `may` says which verbs the requestor may use.

    Every storage class, in any transfer syntax: who may not store is told so for each instance, for which a C-STORE has
    a status (0124). Verification for those who may echo, since a C-ECHO has none, and instance availability for those
    who may store. Storage commitment in those of the roles asked for that the requestor may have; who names none asks
    to be SCU.
    """
    found = (_accepted(context, request.roles, may) for context in request.contexts)
    return {context.context_id: context for context in found if context is not None}


def _accepted(
    proposed: ProposedContext, roles: Mapping[str, Roles], may: Callable[[str], bool]
) -> AcceptedContext | None:
    abstract_syntax, granted = proposed.abstract_syntax, DEFAULT_ROLES
    offered = by_preference(_taken(proposed))
    if abstract_syntax == VERIFICATION:
        taken = may(ECHO)
    elif abstract_syntax == STORAGE_COMMITMENT:
        wanted = roles.get(abstract_syntax, DEFAULT_ROLES)
        granted = Roles(scu=wanted.scu and may(COMMIT), scp=wanted.scp and may(REPORT))
        taken = granted != _NO_ROLE
    elif abstract_syntax == AVAILABILITY_NOTIFICATION:
        taken = may(STORE)
    else:
        taken = is_storage_class(abstract_syntax)
    return AcceptedContext(proposed.context_id, abstract_syntax, offered[0], granted) if taken and offered else None


def _taken(proposed: ProposedContext) -> list[str]:
    """Of the transfer syntaxes offered those in which something of this class is taken: in none that is no UID."""
    native = proposed.abstract_syntax in _NATIVE_ONLY
    return [uid for uid in proposed.transfer_syntaxes if (uid in NATIVE if native else is_usable_uid(uid))]


def associate_ac(request: AssociationRequest, accepted: Mapping[int, AcceptedContext], max_pdu: int) -> bytes:
    """The A-ASSOCIATE-AC: a result for every context proposed (PS3.8 9.3.3).

    The reserved fields return the AE titles as they came, which some requestors check.
    """
    results = b"".join(_result(context, accepted.get(context.context_id)) for context in request.contexts)
    user = (
        _item(0x51, max_pdu.to_bytes(4, "big"))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
        + _role_selections(request, accepted)
        + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
    )
    application = _item(0x10, APPLICATION_CONTEXT.encode())
    content = b"\x00\x01\x00\x00" + request.titles + bytes(32) + application + results + _item(0x50, user)
    return PDU_HEADER.pack(PduType.ASSOCIATE_AC, len(content)) + content


def _role_selections(request: AssociationRequest, accepted: Mapping[int, AcceptedContext]) -> bytes:
    """The answers to role selection, of the one class in which a requestor may be SCP (PS3.7 D.3.3.4.2).

    For every other class none is given, which leaves the default roles in force: a requestor stores, it is not sent to.
    """
    granted = {context.abstract_syntax: context.roles for context in accepted.values()}
    roles = granted.get(STORAGE_COMMITMENT)
    if roles is None or STORAGE_COMMITMENT not in request.roles:
        return b""
    uid = STORAGE_COMMITMENT.encode()
    return _item(0x54, len(uid).to_bytes(2, "big") + uid + bytes((roles.scu, roles.scp)))


def _result(proposed: ProposedContext, accepted: AcceptedContext | None) -> bytes:
    """A refused context names a transfer syntax too; it means nothing then (PS3.8 9.3.3.2)."""
    syntax = accepted.transfer_syntax if accepted else proposed.transfer_syntaxes[0]
    result = _ACCEPTANCE if accepted else _refusal(proposed)
    return _item(0x21, bytes((proposed.context_id, 0, result, 0)) + _item(0x40, syntax.encode("latin-1")))


def _refusal(proposed: ProposedContext) -> int:
    known = proposed.abstract_syntax in _NOT_STORED or is_storage_class(proposed.abstract_syntax)
    if known and not _taken(proposed):
        return _TRANSFER_SYNTAXES_NOT_SUPPORTED
    return _USER_REJECTION if proposed.abstract_syntax == VERIFICATION else _ABSTRACT_SYNTAX_NOT_SUPPORTED


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value
