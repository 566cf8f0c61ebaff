"""A recording TCP proxy before a Storage SCP: what was really sent, how often, and what was really answered.

It reads whole PDUs in both directions (PS3.8 9.3), puts messages together per presentation context, and shares no
code with the node's own sender, so that the two cannot be wrong together. Loopback only.
"""

import contextlib
import hashlib
import itertools
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from support.peers import free_port
from support.promises import promised

_P_DATA_TF = 0x04
_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)


@dataclass
class Store:
    """One C-STORE-RQ. `sha256` is None while its data set is incomplete.

    `answered` is the status that the PACS gave, `status` the one that was passed to the node: None when it was lost.
    """

    association: int
    message_id: int
    sop_instance_uid: str
    started_at: float
    sha256: str | None = None
    answered: int | None = None
    status: int | None = None
    passed_at: float | None = None
    excused: bool = False


@dataclass
class Faults:
    """What the proxy does to the connections. Set any of it at any time; counts are of C-STORE over all associations.

    `drop_responses_after`: swallow each response beyond this many; the connection stays.
    `cut_after`: cut the connection once this many responses have been passed.
    `cut_instead_of_response`: swallow this response (counted from 1) and cut the connection: stored, but unknown.
    `cut_inside_request`: cut the connection in the data set of this request (counted from 1).
    `stall`: pass nothing in either direction.
    Each cut happens once and then clears itself.
    """

    drop_responses_after: int | None = None
    cut_after: int | None = None
    cut_instead_of_response: int | None = None
    cut_inside_request: int | None = None
    stall: bool = False


@dataclass
class _Message:
    """A DIMSE message being put together."""

    command_set: bytearray = field(default_factory=bytearray)
    data_set: "hashlib._Hash" = field(default_factory=hashlib.sha256)


class RecordingProxy:
    """Listens on `port` and passes everything to `127.0.0.1:upstream_port`. Use in a `with` statement."""

    def __init__(self, upstream_port: int, *, port: int | None = None) -> None:
        self.upstream_port, self.port = upstream_port, port or free_port()
        self.faults = Faults()
        self.stores: list[Store] = []
        self.responses_seen = 0
        self.responses_passed = 0
        self._associations = itertools.count(1)
        self._lock = threading.RLock()
        self._sockets: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    def accept(self) -> None:
        """Listen (again): after the start, and after `refuse`."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        self._run(self._accept_loop, listener)

    def refuse(self) -> None:
        """Stop listening and cut what is open: the next connection is refused, as by a host without a PACS."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            # shutdown wakes the thread that is inside accept(); close alone would not
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut every open connection."""
        with self._lock:
            for association in list(self._sockets):
                self._cut(association)

    def stop(self) -> None:
        """Refuse, and wait for the proxy's threads."""
        self.faults = Faults()
        self.refuse()
        for thread in self._threads:
            thread.join(60.0)
            assert not thread.is_alive(), "a thread of the proxy does not end"

    def excuse_in_flight(self, last: int = 1) -> None:
        """Call right after a kill -9 of the node: its last responses may have reached a dead process.

        Of each association that is open, the `last` responses passed count as lost.
        """
        with self._lock:
            for association in self._sockets:
                # By `passed_at`: the node may have its response before our thread comes to note the status.
                passed = [s for s in self.stores if s.association == association and s.passed_at is not None]
                for store in passed[-last:]:
                    store.excused = True

    def of(self, sop_instance_uid: str) -> list[Store]:
        """Each C-STORE-RQ of one SOP Instance UID, in order."""
        with self._lock:
            return [store for store in self.stores if store.sop_instance_uid == sop_instance_uid]

    def uids(self) -> set[str]:
        """SOP Instance UIDs seen in any C-STORE-RQ."""
        with self._lock:
            return {store.sop_instance_uid for store in self.stores}

    def violations(self) -> list[str]:
        """Broken promises, each as a sentence: a UID with two byte strings, a UID sent again after it was stored."""
        return list(self._violations())

    @promised()
    def assert_no_violations(self) -> None:
        """Nothing was sent twice, nor with other bytes."""
        assert self.violations() == []

    def _violations(self) -> Iterator[str]:
        by_uid: dict[str, list[Store]] = defaultdict(list)
        with self._lock:
            for store in self.stores:
                by_uid[store.sop_instance_uid].append(store)
        for uid, stores in by_uid.items():
            hashes = {store.sha256 for store in stores if store.sha256 is not None}
            if len(hashes) > 1:
                yield f"{uid} was sent with {len(hashes)} different data sets"
            for earlier, later in itertools.pairwise(stores):
                if earlier.status not in _STORED or earlier.excused or earlier.passed_at is None:
                    continue
                if earlier.passed_at <= later.started_at:
                    yield f"{uid} was sent again after status {earlier.status:04X} had been passed on"
                else:
                    yield f"{uid} was sent again while its response was still awaited"

    # Connections

    def _run(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept_loop(self, listener: socket.socket) -> None:
        while True:
            try:
                node, _ = listener.accept()
            except OSError:
                return
            try:
                pacs = socket.create_connection(("127.0.0.1", self.upstream_port), 10.0)
            except OSError:
                node.close()
                continue
            for end in (node, pacs):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            association = next(self._associations)
            with self._lock:
                self._sockets[association] = node, pacs
                if self._listener is not listener:  # it was accepted as the others were cut
                    self._cut(association)
                    return
            self._run(self._pump, association, node, pacs, _Requests(self, association))
            self._run(self._pump, association, pacs, node, _Responses(self, association))

    def _pump(self, association: int, source: socket.socket, sink: socket.socket, flow: "_Flow") -> None:
        """Pass PDUs until either side ends, as `flow` says."""
        try:
            while (pdu := _read_pdu(source)) is not None:
                while self.faults.stall and association in self._sockets:
                    time.sleep(0.01)
                with self._lock:
                    passing = flow.judge(pdu)
                if passing is None:
                    break
                for part in passing:
                    sink.sendall(part)
                flow.sent()
        except OSError:
            pass
        finally:
            with self._lock:
                self._cut(association)

    def _cut(self, association: int) -> None:
        for end in self._sockets.pop(association, ()):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def __enter__(self) -> Self:
        self.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Flow:
    """One direction of one association: what comes is judged PDU by PDU, under the proxy's lock."""

    def __init__(self, proxy: RecordingProxy, association: int) -> None:
        self.proxy, self.association = proxy, association
        self.messages: dict[int, _Message] = defaultdict(_Message)

    def judge(self, pdu: bytes) -> list[bytes] | None:
        """The PDUs to pass on now; None to cut the association."""
        raise NotImplementedError

    def sent(self) -> None:
        """What `judge` returned last has been passed on."""


class _Requests(_Flow):
    """From the node to the PACS."""

    def __init__(self, proxy: RecordingProxy, association: int) -> None:
        super().__init__(proxy, association)
        self.current: Store | None = None

    def judge(self, pdu: bytes) -> list[bytes] | None:
        for context_id, control, fragment in _values(pdu):
            message = self.messages[context_id]
            if control & 0x01:
                message.command_set += fragment
                if control & 0x02:
                    self._command(_elements(bytes(message.command_set)))
                    message.command_set.clear()
            elif self.current is not None:
                message.data_set.update(fragment)
                if len(self.proxy.stores) == self.proxy.faults.cut_inside_request:
                    self.proxy.faults.cut_inside_request = None
                    return None
                if control & 0x02:
                    self.current.sha256 = message.data_set.hexdigest()
                    del self.messages[context_id]
        return [pdu]

    def _command(self, command: dict[int, bytes]) -> None:
        self.current = None
        if _number(command, 0x0100) == _C_STORE_RQ:
            uid = command[0x1000].rstrip(b"\0 ").decode("ascii")
            self.current = Store(self.association, _number(command, 0x0110), uid, time.monotonic())
            self.proxy.stores.append(self.current)


class _Responses(_Flow):
    """From the PACS to the node. PDUs of a message are held until it is whole, so that it is passed or lost as one."""

    def __init__(self, proxy: RecordingProxy, association: int) -> None:
        super().__init__(proxy, association)
        self.held: list[bytes] = []
        self.passing: Store | None = None

    def judge(self, pdu: bytes) -> list[bytes] | None:
        self.held.append(pdu)
        whole: dict[int, bytes] | None = {}
        for context_id, control, fragment in _values(pdu):
            whole = None
            if control & 0x01:
                self.messages[context_id].command_set += fragment
                if control & 0x02:
                    whole = _elements(bytes(self.messages.pop(context_id).command_set))
        if whole is None:
            return []
        held, self.held = self.held, []
        return self._response(held, whole) if _number(whole, 0x0100) == _C_STORE_RSP else held

    def _response(self, held: list[bytes], command: dict[int, bytes]) -> list[bytes] | None:
        store = self._store(_number(command, 0x0120))
        store.answered = _number(command, 0x0900)
        proxy, faults = self.proxy, self.proxy.faults
        proxy.responses_seen += 1
        if proxy.responses_seen == faults.cut_instead_of_response:
            faults.cut_instead_of_response = None
            return None
        if faults.drop_responses_after is not None and proxy.responses_passed >= faults.drop_responses_after:
            return []
        self.passing, store.passed_at = store, time.monotonic()
        return held

    def sent(self) -> None:
        if self.passing is None:
            return
        with self.proxy._lock:
            self.passing.status, self.passing = self.passing.answered, None
            self.proxy.responses_passed += 1
            if self.proxy.responses_passed == self.proxy.faults.cut_after:
                self.proxy.faults.cut_after = None
                self.proxy._cut(self.association)

    def _store(self, message_id: int) -> Store:
        for store in reversed(self.proxy.stores):
            if store.association == self.association and store.message_id == message_id:
                return store
        raise AssertionError(f"a response to message {message_id}, which was never sent")


def _read_pdu(source: socket.socket) -> bytes | None:
    """The next PDU, whole; None at the end of the stream."""
    header = _read(source, 6)
    if len(header) < 6:
        return None
    length = int.from_bytes(header[2:6], "big")
    content = _read(source, length)
    return header + content if len(content) == length else None


def _read(source: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length and (chunk := source.recv(min(length - len(received), 1 << 20))):
        received += chunk
    return bytes(received)


def _values(pdu: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(context ID, message control header, fragment) of each presentation data value of a P-DATA-TF (PS3.8 9.3.5.1)."""
    offset = 6 if pdu[0] == _P_DATA_TF else len(pdu)
    while offset < len(pdu):
        length, context_id, control = struct.unpack_from(">IBB", pdu, offset)
        yield context_id, control, pdu[offset + 6 : offset + 4 + length]
        offset += 4 + length


def _elements(command_set: bytes) -> dict[int, bytes]:
    """Values of a command set by element number: implicit VR little endian (PS3.7 6.3.1)."""
    elements, offset = {}, 0
    while offset < len(command_set):
        _, element, length = struct.unpack_from("<HHI", command_set, offset)
        elements[element] = command_set[offset + 8 : offset + 8 + length]
        offset += 8 + length
    return elements


def _number(command: dict[int, bytes], element: int) -> int:
    return int.from_bytes(command.get(element, b""), "little")
