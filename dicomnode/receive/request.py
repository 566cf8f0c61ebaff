"""An A-ASSOCIATE-RQ: who calls whom, and what is proposed (PS3.8 9.3.2, PS3.7 D.3.3)."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dicomnode.receive.pdu import MalformedPdu

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

_FIXED_BYTES = 68
_ITEM = struct.Struct(">BxH")
_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION = 0x10, 0x20, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _IMPLEMENTATION_CLASS, _ROLE_SELECTION, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x54, 0x55


@dataclass(frozen=True)
class Roles:
    """What the requestor of an association is in a SOP class (PS3.7 D.3.3.4)."""

    scu: bool
    scp: bool


DEFAULT_ROLES = Roles(scu=True, scp=False)
"""Where no role selection is proposed, or none is answered."""


@dataclass(frozen=True)
class ProposedContext:
    """One presentation context: an abstract syntax and the transfer syntaxes offered for it, in the sender's order."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class AssociationRequest:
    """What was asked for. `max_length` is the longest P-DATA-TF that the requestor takes; 0 is no limit."""

    protocol_version: int
    titles: bytes = field(repr=False)
    """Called and calling AE title as they came, 32 bytes: the answer repeats them."""

    called_aet: str
    calling_aet: str
    application_context: str
    contexts: tuple[ProposedContext, ...] = field(repr=False)
    roles: Mapping[str, Roles] = field(repr=False)
    """By SOP class, for those that role selection was proposed for."""

    max_length: int
    implementation: str
    """Implementation version name, or class UID where there is none: what an administrator knows the peer by."""

    @classmethod
    def decode(cls, content: bytes | bytearray | memoryview) -> "AssociationRequest":
        """From the bytes behind the PDU header. Raises MalformedPdu.

        Items that are not known are passed over (PS3.8 9.3.1). User identity is, too: an acceptor that does not answer
        it asks nobody's (PS3.7 D.3.3.7).
        """
        content = bytes(content)
        if len(content) < _FIXED_BYTES:
            raise MalformedPdu("the association request is too short")
        application, contexts, user, roles = "", [], {}, {}
        for kind, value in _items(content[_FIXED_BYTES:]):
            if kind == _APPLICATION_CONTEXT:
                application = _uid(value)
            elif kind == _PRESENTATION_CONTEXT:
                contexts.append(_context(value))
            elif kind == _USER_INFORMATION:
                user = dict(_items(value))
                roles = dict(_roles(item) for kind, item in _items(value) if kind == _ROLE_SELECTION)
        if len({context.context_id for context in contexts}) != len(contexts):
            raise MalformedPdu("a presentation context ID is used twice")
        implementation = user.get(_IMPLEMENTATION_VERSION) or user.get(_IMPLEMENTATION_CLASS, b"")
        return cls(
            protocol_version=int.from_bytes(content[:2], "big"),
            titles=content[4:36],
            called_aet=_text(content[4:20]),
            calling_aet=_text(content[20:36]),
            application_context=application,
            contexts=tuple(contexts),
            roles=roles,
            max_length=_length(user.get(_MAXIMUM_LENGTH, bytes(4))),
            implementation=_text(implementation[:64]),
        )


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Pairs of item type and value; nothing may stand behind the last one."""
    offset, end = 0, len(content)
    while offset < end:
        if offset + _ITEM.size > end:
            raise MalformedPdu("the association request ends inside an item")
        kind, length = _ITEM.unpack_from(content, offset)
        offset += _ITEM.size
        if offset + length > end:
            raise MalformedPdu("an item of the association request is longer than what holds it")
        yield kind, content[offset : offset + length]
        offset += length


def _context(value: bytes) -> ProposedContext:
    if len(value) < 4:
        raise MalformedPdu("a presentation context is too short")
    if value[0] % 2 == 0:
        raise MalformedPdu("a presentation context ID is even")
    abstract, transfers = "", []
    for kind, uid in _items(value[4:]):
        if kind == _ABSTRACT_SYNTAX:
            abstract = _uid(uid)
        elif kind == _TRANSFER_SYNTAX:
            transfers.append(_uid(uid))
    if not abstract or not transfers:
        raise MalformedPdu("a presentation context lacks its abstract or its transfer syntaxes")
    return ProposedContext(value[0], abstract, tuple(transfers))


def _roles(value: bytes) -> tuple[str, Roles]:
    """A role selection sub-item: the length of a UID, the UID, SCU role, SCP role (PS3.7 Table D.3-9)."""
    length = int.from_bytes(value[:2], "big")
    if len(value) != length + 4:
        raise MalformedPdu("a role selection is not as long as it says")
    return _uid(value[2:-2]), Roles(scu=value[-2] == 1, scp=value[-1] == 1)


def _length(value: bytes) -> int:
    if len(value) != 4:
        raise MalformedPdu("the maximum length is not four bytes long")
    return int.from_bytes(value, "big")


def _uid(value: bytes) -> str:
    return value.decode("latin-1").rstrip("\0 ")


def _text(value: bytes) -> str:
    """ISO 646 text without padding; anything else in it becomes a question mark: it ends up in logs and events."""
    text = value.decode("ascii", "replace").strip(" \0")
    return "".join(character if character.isprintable() and character != "\ufffd" else "?" for character in text)
