"""An association's socket: whole things only, each by its deadline, with as few calls and copies as may be."""

import contextlib
import socket
import ssl
import struct
import sys
import time
from typing import NoReturn

from dicomnode.receive.leash import Leash
from dicomnode.receive.limits import Limits
from dicomnode.receive.pdu import PDU_HEADER
from dicomnode.receive.states import Event

_TICK_SECONDS = 1
"""How late a deadline or an order to stop may be noticed."""
_AHEAD_BYTES = 4096
"""Small things are read together: a command set and the header behind it come with one call."""
_DELAYED_ACK_SECONDS = 0.03
"""Linux delays an acknowledgement by 40 ms; no network in a hospital does."""
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux only
_WAIT_ALL = getattr(socket, "MSG_WAITALL", 0)


class Interrupted(Exception):
    """What was waited for will not come: `event` says why, `reason` in words for the administrator."""

    def __init__(self, event: Event, reason: str) -> None:
        super().__init__(reason)
        self.event, self.reason = event, reason


class Wire:
    """One connection, in the hands of the thread that serves its association; others have its `leash`.

    Every method raises Interrupted. `before` is what was already read of the connection.
    """

    def __init__(self, sock: socket.socket, limits: Limits, before: bytes, leash: Leash) -> None:
        self._socket, self._limits, self._leash = sock, limits, leash
        self._ahead = bytearray(max(_AHEAD_BYTES, len(before)))
        self._view = memoryview(self._ahead)
        self._begin, self._end = 0, len(before)
        self._view[: self._end] = before
        self._deadline = 0.0
        self._late = ""
        self._quick = False
        self._plain = not isinstance(sock, ssl.SSLSocket)
        self._flags = _WAIT_ALL if self._plain else 0
        _tick(sock, self._plain)

    def pdu_header(self, *, inside_message: bool) -> tuple[int, int]:
        """Type and length of the next PDU, which has its deadline from here on."""
        if self._begin == self._end:
            if inside_message:
                self._expect(self._limits.pdu_seconds, "it stopped inside a message for")
            else:
                self._expect(self._limits.idle_seconds, "nothing came for")
            self._begin, self._end = 0, 0
            self._end = self._receive(self._view, 0, between_messages=not inside_message)
        self._expect(self._limits.pdu_seconds, "a PDU was not complete after")
        pdu_type, length = PDU_HEADER.unpack(self.take(PDU_HEADER.size))
        return pdu_type, length

    def take(self, size: int) -> memoryview:
        """The next `size` bytes, at most 4096 of them; valid until the next call."""
        if self._begin + size > len(self._ahead):
            self._ahead[: self._end - self._begin] = self._ahead[self._begin : self._end]
            self._begin, self._end = 0, self._end - self._begin
        while self._end - self._begin < size:
            self._end += self._receive(self._view[self._end :], 0)
            self._look_at_the_clock()
        self._begin += size
        return self._view[self._begin - size : self._begin]

    def into(self, target: memoryview) -> None:
        """Fill `target` with the next bytes: what was read ahead is copied, all else comes straight from the socket."""
        have = min(self._end - self._begin, len(target))
        target[:have] = self._view[self._begin : self._begin + have]
        self._begin += have
        while have < len(target):
            have += self._receive(target[have:], self._flags)
            if have < len(target):
                self._look_at_the_clock()

    def write(self, pdu: bytes) -> None:
        """Send all of it; a peer that does not read is cut like one that does not write."""
        self._expect(self._limits.pdu_seconds, "it did not take an answer within")
        left = memoryview(pdu)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except (BlockingIOError, TimeoutError):
                self._look_at_the_clock()
            except OSError as error:
                raise _broken(error) from error
        if self._quick:
            self._acknowledge_at_once()  # having sent something, the kernel is back at delayed acknowledgements

    def _expect(self, seconds: float, late: str) -> None:
        self._deadline, self._late = time.monotonic() + seconds, f"{late} {seconds:g} s"

    def _receive(self, target: memoryview, flags: int, *, between_messages: bool = False) -> int:
        self._leash.waiting_since = None if between_messages else time.monotonic()
        while True:
            began = time.monotonic()
            try:
                count = self._socket.recv_into(target, 0, flags)
            except (BlockingIOError, TimeoutError):
                self._look_at_the_clock()
                continue
            except OSError as error:
                raise _broken(error) from error
            self._leash.waiting_since = None
            if self._leash.ordered:
                self._told_to_stop()
            if not count:
                raise Interrupted(Event.CLOSED, "the peer closed the connection")
            if not between_messages and time.monotonic() - began > _DELAYED_ACK_SECONDS:
                self._acknowledge_at_once()
            return count

    def _look_at_the_clock(self) -> None:
        if self._leash.ordered:
            self._told_to_stop()
        if time.monotonic() >= self._deadline:
            raise Interrupted(Event.TIME_IS_UP, self._late)

    def _told_to_stop(self) -> NoReturn:
        raise Interrupted(Event.TOLD_TO_STOP, self._leash.ordered)

    def _acknowledge_at_once(self) -> None:
        """Against Nagle's algorithm at the peer, which holds a small piece back until the one before is acknowledged.

        Only where it has been met, since every other sender pays for it: DCMTK's default sender waits 40 ms for each
        message otherwise. Linux forgets the wish with every answer sent.
        """
        self._quick = True
        if _QUICKACK is not None and self._plain:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def _broken(error: OSError) -> Interrupted:
    return Interrupted(Event.CLOSED, f"the connection broke: {error.strerror or 'error'}")


def _tick(sock: socket.socket, plain: bool) -> None:
    """Make every wait end after a tick. The kernel does it for a plain socket, which saves a call for each read."""
    if plain and sys.platform == "linux":
        sock.settimeout(None)
        interval = struct.pack("@ll", _TICK_SECONDS, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
    else:
        sock.settimeout(_TICK_SECONDS)
