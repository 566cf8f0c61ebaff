"""What a fuzzing client says on one connection: a valid conversation, drawn by chance, as parts that can be spoiled."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from struct import pack

from support import wire
from support.instances import ct_template

CT = wire.Context(3, wire.CT_IMAGE, (wire.EXPLICIT,))
_SYNTAXES = (wire.IMPLICIT, wire.EXPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1.99")
_CLASSES = (
    wire.CT_IMAGE,
    wire.VERIFICATION,
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.1.20.1",
    "1.2.840.10008.5.1.4.1.2.2.1",
    "1.2.826.0.1.3680043.9.9999.1",
)
_SERIES = 900_000
_COMMANDS = (0x0001, 0x8001, 0x0010, 0x0020, 0x0021, 0x0030, 0x8030, 0x0FFF, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140,
             0x0150, 0x1234, 0xFFFF)  # fmt: skip
"""Command fields (PS3.7 E.1), and some that are none."""

Chance = random.Random


@dataclass(frozen=True)
class Said:
    """Some bytes to send, and whether the client waits for an answer then."""

    words: bytes
    awaits: bool = False


def conversation(chance: Chance, called: str) -> list[Said]:
    """An association with some messages, and an end of some sort."""
    contexts = _contexts(chance)
    said = [Said(_request(chance, contexts, called), awaits=True)]
    for number in range(chance.choice((0, 1, 1, 2, 3, 6))):
        said += chance.choices(_MESSAGES, weights=(4, 6, 2, 2))[0](chance, number + 1)
    said.append(chance.choice(_ENDS))
    return said


def _contexts(chance: Chance) -> list[wire.Context]:
    if chance.random() < 0.8:
        return [wire.ECHO, CT]
    count = chance.choice((0, 1, 2, 30, 128, 200))
    return [
        wire.Context(
            chance.choice((2 * number + 1, 1, number)) & 0xFF,
            chance.choice(_CLASSES),
            tuple(chance.choices(_SYNTAXES, k=chance.randrange(5))),
        )
        for number in range(count)
    ]


def _request(chance: Chance, contexts: list[wire.Context], called: str) -> bytes:
    max_pdu = chance.choice((16384, 131072, 0, 1, 7, 13, 1 << 20, 0xFFFFFFFF))
    title = called if chance.random() < 0.9 else chance.choice(("", "WRONG", "\0" * 16, "\\" * 16))
    more = b"".join(chance.choice(_USER_ITEMS)(chance) for _ in range(chance.choice((0, 0, 0, 1, 3))))
    return wire.associate_rq(contexts, title, chance.choice(("FUZZ", "FUZZER2", "")), max_pdu, more)


def _text(chance: Chance, most: int = 64) -> bytes:
    return chance.randbytes(chance.randrange(most))


_USER_ITEMS: tuple[Callable[[Chance], bytes], ...] = (
    lambda chance: wire.item(0x53, pack(">HH", chance.randrange(1 << 16), chance.randrange(1 << 16))),
    lambda chance: wire.item(0x54, pack(">H", 25) + chance.choice(_CLASSES).encode()[:25].ljust(25) + b"\1\1"),
    lambda chance: wire.item(0x55, _text(chance, 20)),
    lambda chance: wire.item(0x56, _text(chance)),
    lambda chance: wire.item(0x57, _text(chance)),
    lambda chance: wire.item(0x58, bytes([chance.randrange(7), 1]) + pack(">H", 3) + b"abc" + pack(">H", 0)),
    lambda chance: wire.item(chance.randrange(256), _text(chance, 200)),
)
"""Asynchronous operations, role selection, version, extended negotiation, user identity, and what nobody knows."""


def _echo(chance: Chance, number: int) -> list[Said]:
    return [Said(wire.p_data(1, wire.COMMAND | wire.LAST, wire.echo_rq(number)), awaits=chance.random() < 0.7)]


def _store(chance: Chance, number: int) -> list[Said]:
    image = ct_template(16).instance(_SERIES + chance.randrange(50), chance.randrange(1, 10**6))
    uid = image.sop_uid if chance.random() < 0.9 else f"2.25.9{chance.randrange(10**30)}"
    said = [Said(_fragments(chance, wire.COMMAND, wire.store_rq(number, wire.CT_IMAGE, uid)))]
    whole = image.data_set[: chance.choice((None, None, chance.randrange(len(image.data_set))))]
    return [*said, Said(_fragments(chance, 0, whole), awaits=chance.random() < 0.7)]


def _fragments(chance: Chance, kind: int, whole: bytes) -> bytes:
    """A command or data set in one value or several, in one PDU or several."""
    step = chance.choice((2, 30, 1000, 1 << 20)) if len(whole) < 1000 else chance.choice((500, 4000, 16378))
    values = []
    for begin in range(0, max(len(whole), 1), step):
        last = wire.LAST if begin + step >= len(whole) else 0
        values.append(wire.pdv(CT.identifier, kind | last, whole[begin : begin + step]))
    together = chance.choice((1, 1, 3))
    groups = (values[begin : begin + together] for begin in range(0, len(values), together))
    return b"".join(wire.pdu(wire.P_DATA_TF, b"".join(group)) for group in groups)


def _other(chance: Chance, number: int) -> list[Said]:
    """A command of any field, with any elements."""
    elements = wire.element(0x0100, pack("<H", chance.choice(_COMMANDS)))
    for tag in chance.sample((0x0002, 0x0003, 0x0110, 0x0120, 0x0700, 0x0800, 0x0900, 0x1000, 0x1031), 5):
        elements += wire.element(tag, chance.choice((pack("<H", number), b"", wire.CT_IMAGE.encode() + b"\0", b"\1\1")))
    command = chance.choice((wire.command_set(elements), elements))
    return [Said(wire.p_data(chance.choice((1, 3)), wire.COMMAND | wire.LAST, command), awaits=chance.random() < 0.3)]


def _protocol(chance: Chance, number: int) -> list[Said]:
    """A PDU that does not belong here."""
    kind = chance.choice((1, 2, 3, 5, 6, 7, 0, 8, 255))
    return [Said(wire.pdu(kind, chance.randbytes(chance.choice((0, 4, 68, 500)))), awaits=chance.random() < 0.3)]


_MESSAGES = (_echo, _store, _other, _protocol)
_ENDS = (Said(wire.pdu(wire.RELEASE_RQ), awaits=True), Said(wire.pdu(wire.ABORT)), Said(b""))
