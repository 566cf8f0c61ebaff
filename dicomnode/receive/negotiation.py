"""Presentation contexts: accept every storage class that is proposed, in the transfer syntax that serves best."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dicomnode.domain.uid import IMPLEMENTATION_CLASS_UID
from dicomnode.receive.pdu import PDU_HEADER, PduType
from dicomnode.receive.request import APPLICATION_CONTEXT, AssociationRequest, ProposedContext
from dicomnode.receive.storage_classes import is_storage_class
from dicomnode.receive.transfer_syntaxes import by_preference
from dicomnode.store.part10 import IMPLEMENTATION_VERSION_NAME

VERIFICATION = "1.2.840.10008.1.1"

_ACCEPTANCE, _USER_REJECTION, _ABSTRACT_SYNTAX_NOT_SUPPORTED = 0, 1, 3
_ITEM = struct.Struct(">BxH")


@dataclass(frozen=True)
class AcceptedContext:
    """A presentation context in force: what it is for, and how its data sets are encoded."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


def negotiate(proposed: Iterable[ProposedContext], *, may_echo: bool = True) -> dict[int, AcceptedContext]:
    """What is accepted, by context ID: every storage class in any transfer syntax, and Verification if it `may_echo`.

    Who may not store is told so for each instance: a C-STORE has a status for it (0124), a C-ECHO has none.
    """
    return {
        context.context_id: AcceptedContext(
            context.context_id, context.abstract_syntax, by_preference(context.transfer_syntaxes)[0]
        )
        for context in proposed
        if (may_echo and context.abstract_syntax == VERIFICATION) or is_storage_class(context.abstract_syntax)
    }


def associate_ac(request: AssociationRequest, accepted: Mapping[int, AcceptedContext], max_pdu: int) -> bytes:
    """The A-ASSOCIATE-AC: a result for every context proposed (PS3.8 9.3.3).

    The reserved fields return the AE titles as they came, which some requestors check.
    """
    results = b"".join(_result(context, accepted.get(context.context_id)) for context in request.contexts)
    user = (
        _item(0x51, max_pdu.to_bytes(4, "big"))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
        + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
    )
    application = _item(0x10, APPLICATION_CONTEXT.encode())
    content = b"\x00\x01\x00\x00" + request.titles + bytes(32) + application + results + _item(0x50, user)
    return PDU_HEADER.pack(PduType.ASSOCIATE_AC, len(content)) + content


def _result(proposed: ProposedContext, accepted: AcceptedContext | None) -> bytes:
    """A refused context names a transfer syntax too; it means nothing then (PS3.8 9.3.3.2)."""
    syntax = accepted.transfer_syntax if accepted else proposed.transfer_syntaxes[0]
    refusal = _USER_REJECTION if proposed.abstract_syntax == VERIFICATION else _ABSTRACT_SYNTAX_NOT_SUPPORTED
    result = _ACCEPTANCE if accepted else refusal
    return _item(0x21, bytes((proposed.context_id, 0, result, 0)) + _item(0x40, syntax.encode("latin-1")))


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value
