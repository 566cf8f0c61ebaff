"""Ways to spoil a conversation: bits, lengths, types, order, cuts, and noise instead of it."""

from collections.abc import Callable
from dataclasses import replace
from struct import pack

from fuzz.conversation import Chance, Said

_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 0x7F, 0xFF, 0x4000, 0xFFFF, 0x20000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Spoil = Callable[[Chance, list[Said]], list[Said]]


def spoiled(chance: Chance, said: list[Said]) -> list[Said]:
    """One conversation in five is left as it is; others suffer one to four times."""
    if chance.random() < 0.03:
        return [Said(chance.randbytes(chance.choice((1, 6, 80, 2000, 70_000))), awaits=chance.random() < 0.3)]
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        if said:
            said = chance.choice(_SPOILS)(chance, said)
    return said


def _at(chance: Chance, said: list[Said]) -> int:
    """Rather not the request: behind it lies more to break."""
    return (
        chance.randrange(len(said))
        if chance.random() < 0.3
        else len(said) - 1 - chance.randrange(max(len(said) - 1, 1))
    )


def _changed(chance: Chance, said: list[Said], change: Callable[[bytearray], bytes | bytearray]) -> list[Said]:
    at = _at(chance, said)
    words = bytearray(said[at].words)
    if not words:
        return said
    return [*said[:at], replace(said[at], words=bytes(change(words))), *said[at + 1 :]]


def _flip(chance: Chance, said: list[Said]) -> list[Said]:
    def change(words: bytearray) -> bytearray:
        for _ in range(chance.choice((1, 1, 3, 20))):
            words[chance.randrange(min(len(words), 400))] ^= 1 << chance.randrange(8)
        return words

    return _changed(chance, said, change)


def _pdu_length(chance: Chance, said: list[Said]) -> list[Said]:
    def change(words: bytearray) -> bytearray:
        near = len(words) - 6 + chance.choice((-1, 1, 2, -2))
        words[2:6] = pack(">L", chance.choice((*_LENGTHS, max(near, 0))))
        return words

    return _changed(chance, said, change)


def _pdu_type(chance: Chance, said: list[Said]) -> list[Said]:
    def change(words: bytearray) -> bytearray:
        words[0] = chance.randrange(10)
        return words

    return _changed(chance, said, change)


def _inner_length(chance: Chance, said: list[Said]) -> list[Said]:
    """The length of the first presentation data value, or two bytes in the items or the command."""

    def change(words: bytearray) -> bytearray:
        if chance.random() < 0.5:
            words[6:10] = pack(">L", chance.choice(_LENGTHS))
        else:
            at = chance.randrange(len(words))
            words[at : at + 2] = pack(">H", chance.choice(_LENGTHS) & 0xFFFF)
        return words

    return _changed(chance, said, change)


def _value_header(chance: Chance, said: list[Said]) -> list[Said]:
    """Context identifier and message control header."""

    def change(words: bytearray) -> bytearray:
        words[10:12] = bytes((chance.choice((1, 3, 5, 0, 2, 255)), chance.randrange(256)))
        return words

    return _changed(chance, said, change)


def _cut(chance: Chance, said: list[Said]) -> list[Said]:
    """The connection ends inside one of them."""
    at = _at(chance, said)
    words = said[at].words
    return [*said[:at], Said(words[: chance.randrange(len(words) + 1)])]


def _noise(chance: Chance, said: list[Said]) -> list[Said]:
    at = _at(chance, said)
    return [*said[:at], Said(chance.randbytes(chance.randrange(1, 300))), *said[at:]]


def _drop(chance: Chance, said: list[Said]) -> list[Said]:
    at = _at(chance, said)
    return said[:at] + said[at + 1 :]


def _repeat(chance: Chance, said: list[Said]) -> list[Said]:
    at = _at(chance, said)
    return said[:at] + [said[at]] * chance.choice((2, 3, 10)) + said[at + 1 :]


def _shuffle(chance: Chance, said: list[Said]) -> list[Said]:
    rest = said[1:]
    chance.shuffle(rest)
    return said[:1] + rest


def _splice(chance: Chance, said: list[Said]) -> list[Said]:
    """Some bytes of one part over those of another."""
    source = chance.choice(said).words

    def change(words: bytearray) -> bytearray:
        at, begin = chance.randrange(len(words)), chance.randrange(max(len(source), 1))
        piece = source[begin : begin + chance.randrange(1, 60)]
        words[at : at + len(piece)] = piece
        return words

    return _changed(chance, said, change)


_SPOILS: tuple[Spoil, ...] = (
    _flip, _flip, _pdu_length, _pdu_type, _inner_length, _value_header, _cut, _noise, _drop, _repeat, _shuffle, _splice,
)  # fmt: skip
