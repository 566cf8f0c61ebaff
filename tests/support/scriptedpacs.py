"""A PACS that does as it is told: statuses, aborts, silence, refusals, one by one or for a while. pynetdicom's SCP.

    with ScriptedPacs() as pacs:
        pacs.script += [0x0000, 0xA700, Act.ABORT]   # for the next C-STOREs; then `always`
        pacs.refusal = Refusal.UNKNOWN_CALLER        # for the next associations, until it is None again

What it holds, how often it was asked and what it said can be read at any time. More services (storage commitment,
C-FIND) are added by `contexts` and `handlers`.
"""

import itertools
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification
from support.peers import free_port

_PEEK_NOW = socket.MSG_PEEK | socket.MSG_DONTWAIT

DEFAULT_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class Act(Enum):
    """What it does instead of answering a C-STORE with a status."""

    ABORT = "A-ABORT, the instance not kept"
    KEEP_AND_ABORT = "A-ABORT, the instance kept: its sender cannot know"
    SILENCE = "no response until the association ends"


class Refusal(Enum):
    """How it refuses an association: result, source and reason of A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    UNKNOWN_CALLER = (1, 1, 3)
    UNKNOWN_CALLED = (1, 1, 7)
    CONGESTED = (2, 3, 1)


@dataclass(frozen=True)
class Asked:
    """One C-STORE-RQ: when it came, over which association, and the answer; None where there was none."""

    at: float
    association: int
    sop_uid: str
    answer: int | None


class ScriptedPacs:
    """Listens on `port` of loopback, from `start` to `stop`, as often as wanted; a `with` statement does both.

    script    answers to the C-STOREs to come, each used once: a status or an Act
    always    the answer to all others
    refusal   how associations are refused; None: they are accepted
    asked     every C-STORE-RQ, in order
    knocks    `time.monotonic()` of every association request
    kept      how often each instance was stored; one that is kept already is answered `duplicate`, where that is set
    """

    def __init__(
        self,
        *sop_classes: str,
        ae_title: str = "PACS",
        port: int | None = None,
        transfer_syntaxes: Sequence[str] = DEFAULT_SYNTAXES,
        contexts: Sequence[PresentationContext] = (),
        handlers: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        self.ae_title, self.port = ae_title, port or free_port()
        self.script: deque[int | Act] = deque()
        self.always: int | Act = 0x0000
        self.refusal: Refusal | None = None
        self.duplicate: int | None = None
        self.slow_seconds = 0.0
        self.asked: list[Asked] = []
        self.knocks: list[float] = []
        self.kept: Counter[str] = Counter()
        self.most_open = 0
        self._open: set[int] = set()
        self._over: set[int] = set()
        self._numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._count = itertools.count(1)
        self._lock = threading.Lock()
        self._going_on = threading.Event()
        self._going_on.set()
        self._server: Any = None
        self._handlers = list(handlers)
        self.entity = AE(ae_title=ae_title)
        self.entity.maximum_associations = 64
        self.entity.add_supported_context(Verification)
        for sop_class in sop_classes or (CTImageStorage, MRImageStorage):
            self.entity.add_supported_context(sop_class, list(transfer_syntaxes))
        for context in contexts:
            self.entity.supported_contexts = [*self.entity.supported_contexts, context]

    def start(self) -> None:
        handlers = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_CONN_CLOSE, self._closed),
            *self._handlers,
        ]
        self._server = self.entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def stop(self) -> None:
        """Nobody listens any more, and what is open is cut."""
        self._going_on.set()
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def hold_back(self) -> None:
        """From now on it keeps what comes and holds its responses back, until `let_go`."""
        self._going_on.clear()

    def let_go(self) -> None:
        self._going_on.set()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Meanwhile it keeps what comes and holds its responses back."""
        self.hold_back()
        try:
            yield
        finally:
            self.let_go()

    @property
    def open(self) -> int:
        """Associations that stand now."""
        with self._lock:
            return len(self._open)

    def uids(self) -> Counter[str]:
        """How often each instance was asked to be stored."""
        with self._lock:
            return Counter(each.sop_uid for each in self.asked)

    def answers(self) -> list[int | None]:
        """What it said to each C-STORE, in order."""
        with self._lock:
            return [each.answer for each in self.asked]

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        """Wait for something that this PACS sees; fails with `what`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
            time.sleep(0.01)

    def _requested(self, event: Any) -> None:
        with self._lock:
            self.knocks.append(time.monotonic())
            refusal = self.refusal
        if refusal is not None:
            event.assoc.acse.send_reject(*refusal.value)
            event.assoc.kill()

    def _accepted(self, event: Any) -> None:
        with self._lock:
            self._open |= {self._number(event)} - self._over  # another thread may have told of its end already
            self.most_open = max(self.most_open, len(self._open))

    def _closed(self, event: Any) -> None:
        with self._lock:
            self._over.add(self._number(event))
            self._open.discard(self._number(event))

    def _number(self, event: Any) -> int:
        """Of an association: its `id` may be that of one which is gone."""
        number: int = self._numbers.setdefault(event.assoc, next(self._count))
        return number

    def _stored(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        with self._lock:
            said = self.script.popleft() if self.script else self.always
            if said == 0 and self.kept[uid] and self.duplicate is not None:
                said = self.duplicate
            stored = said is Act.KEEP_AND_ABORT or (isinstance(said, int) and (said == 0 or said >> 12 == 0xB))
            self.kept[uid] += stored
            answer = said if isinstance(said, int) else None
            self.asked.append(Asked(time.monotonic(), self._number(event), uid, answer))
        time.sleep(self.slow_seconds)
        self._going_on.wait()
        if said is Act.SILENCE:
            self._until_it_is_over(event)
        elif isinstance(said, Act):
            event.assoc.abort(block=False)
        return answer or 0x0000

    def _until_it_is_over(self, event: Any) -> None:
        """pynetdicom notices the end only between messages: the socket tells."""
        while self._server is not None and event.assoc.dul.socket is not None and event.assoc.dul.socket.socket:
            try:
                if event.assoc.dul.socket.socket.recv(1, _PEEK_NOW) == b"":
                    return
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                return

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
