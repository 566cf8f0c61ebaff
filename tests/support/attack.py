"""Single blows: what a hostile or broken sender may do to a Storage SCP. Raw sockets, from any address of the loopback.

Those that hold on for long stand in support/siege.py.
"""

import contextlib
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from support import wire
from support.modality import Modality, Rejected, Sendable

HUGE = 0xFFFFFFFF
_CHUNK = bytes(1 << 20)
_PATIENCE = 20.0
_LONGEST = 60.0
"""Seconds that one blow may take in all: a peer that needs longer has swallowed it."""


@dataclass(frozen=True)
class Blow:
    """What came of one: bytes `sent` until the peer ended it, or not `cut`: it took everything and still listens."""

    name: str
    sent: int
    cut: bool
    seconds: float


PDU_TYPES = (*range(1, 8), 0x00, 0x42, 0xFF)
"""Those that PS3.8 knows, and three that it does not."""

STATES = ("before an association", "in an association", "inside a command", "inside a data set", "after the release")


def lengthy_pdu(target_port: int, called: str, kind: int, state: str, mebibytes: int, source: str) -> Blow:
    """A PDU of this type that promises 4 GiB, in this state, and then zeros as long as somebody takes them."""
    with contextlib.ExitStack() as stack:
        begin = time.monotonic()
        name = f"PDU type {kind:02X} of length FFFFFFFF {state}"
        try:
            peer = stack.enter_context(contextlib.closing(_in_state(target_port, called, state, source)))
        except (OSError, wire.Closed, Rejected):
            return Blow(name, 0, False, time.monotonic() - begin)
        header = wire.pdu(kind, b"", HUGE)
        sent, cut = _pour(peer, header, mebibytes << 20)
        return Blow(name, sent, cut, time.monotonic() - begin)


def _in_state(port: int, called: str, state: str, source: str) -> socket.socket:
    if state == STATES[0]:
        return wire.connect(port, source=source, timeout=_PATIENCE)
    modality = Modality(port, called, "ATTACKER", source=source, timeout=_PATIENCE)
    command = wire.store_rq(1, wire.CT_IMAGE, "1.2.3.4")
    if state == STATES[2]:
        modality.socket.sendall(wire.p_data(3, wire.COMMAND, command[:20]))
    if state == STATES[3]:
        modality.socket.sendall(wire.p_data(3, wire.COMMAND | wire.LAST, command) + wire.p_data(3, 0, bytes(1000)))
    if state == STATES[4]:
        modality.socket.sendall(wire.pdu(wire.RELEASE_RQ))
        wire.read_pdu(modality.socket)
    return modality.socket


def _pour(peer: socket.socket, words: bytes, limit: int, chunk: bytes = _CHUNK) -> tuple[int, bool]:
    """Send `words` and then chunks, up to a limit; (bytes sent, whether the peer ended it)."""
    sent, deadline = 0, time.monotonic() + _LONGEST
    try:
        peer.sendall(words)
        while sent < limit and time.monotonic() < deadline:
            peer.sendall(chunk)
            sent += len(chunk)
            if _ended(peer, 0.0):
                return sent, True
        return sent, _ended(peer, 2.0)
    except TimeoutError:
        return sent, False
    except OSError:
        return sent, True


def _ended(peer: socket.socket, seconds: float) -> bool:
    """Whether the peer aborts or closes within this time; its other words are passed over."""
    deadline = time.monotonic() + seconds
    while True:
        peer.settimeout(max(deadline - time.monotonic(), 1e-4))
        try:
            words = peer.recv(1 << 16)
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            peer.settimeout(_PATIENCE)
        if not words or words[0] == wire.ABORT:
            return True


def endless_command(port: int, called: str, mebibytes: int, source: str) -> Blow:
    """A command set of which every fragment says that more follow."""
    begin = time.monotonic()
    with Modality(port, called, "ATTACKER", source=source, timeout=_PATIENCE) as modality:
        fragment = wire.p_data(1, wire.COMMAND, bytes(min(modality.accepted.max_pdu or 16384, 131072) - 6))
        sent, cut = _pour(modality.socket, b"", mebibytes << 20, fragment)
        modality.socket.close()
    return Blow("a command without end", sent, cut, time.monotonic() - begin)


def tiny_pdvs(port: int, called: str, instance: Sendable, form: str, count: int, source: str) -> Blow:
    """So many presentation data values of no or two bytes, in one of TINY_FORMS."""
    begin = time.monotonic()
    with Modality(port, called, "ATTACKER", source=source, timeout=_PATIENCE) as modality:
        words = b""
        if "data set" in form:
            context = modality.contexts[instance.sop_class]
            command = wire.store_rq(1, instance.sop_class, instance.sop_uid)
            words = wire.p_data(context, wire.COMMAND | wire.LAST, command)
            value = wire.pdv(context, 0, b"" if "empty" in form else b"\0\0")
        else:
            value = wire.pdv(1, wire.COMMAND, b"" if "empty" in form else b"\0\0")
        room = 1 if "each in a PDU" in form else 2000
        chunk = wire.pdu(wire.P_DATA_TF, value * room) * (1 if room > 1 else 2000)
        sent, cut = _pour(modality.socket, words, count // 2000 * len(chunk), chunk)
        modality.socket.close()
    return Blow(f"{count} {form}", sent, cut, time.monotonic() - begin)


TINY_FORMS = (
    "empty PDVs of a command",
    "PDVs of two bytes of a command",
    "empty PDVs of a data set",
    "empty PDVs of a data set, each in a PDU",
    "PDVs of two bytes of a data set",
    "PDVs of two bytes of a data set, each in a PDU",
)


def storm(port: int, called: str, count: int, source: str) -> dict[str, int]:
    """Connect and close at once: bare, after half a request, after a whole one, and after it was answered."""
    tally = {"connected": 0, "failed": 0}
    request = wire.associate_rq(called=called)
    for number in range(count):
        try:
            with contextlib.closing(wire.connect(port, source=source)) as peer:
                peer.sendall((b"", request[:50], request, request)[number % 4])
                if number % 4 == 3:
                    wire.read_pdu(peer)
            tally["connected"] += 1
        except (OSError, wire.Closed):
            tally["failed"] += 1
    return tally


def aborted_transfers(port: int, called: str, instances: Iterator[Sendable], seed: int, source: str) -> int:
    """Each instance is begun on an association of its own and cut off somewhere: A-ABORT, close or reset by turns."""
    chance, count = random.Random(seed), 0
    for count, instance in enumerate(instances, 1):
        modality = Modality(port, called, "ATTACKER", source=source)
        modality.begin_store(instance, chance.randrange(len(instance.data_set)))
        if count % 3 == 0:
            modality.abort()
            continue
        if count % 3 == 1:
            modality.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        modality.socket.close()
    return count
