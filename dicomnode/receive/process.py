"""A receiving process: one receiver and its journal, on sockets that the node opened, for as long as the node lives."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator

from dicomnode.receive.board import Board, State
from dicomnode.receive.launch import Launch, Post, from_line
from dicomnode.receive.listening import Listening
from dicomnode.receive.receiver import StorageReceiver
from dicomnode.receive.shared_slots import SharedSlots
from dicomnode.receive.store_request import Refusal
from dicomnode.receive.tally import NodeTally, ProcessTally
from dicomnode.receive.tls import server_context
from dicomnode.store.backlog import Backlog
from dicomnode.store.journal import Journal

ORPHANED = 3
"""Exit status of a process whose node is gone."""

LOOK_SECONDS = 1.0
"""How often containers that nothing came for are closed when nothing comes at all: retention waits for that. And how
late SIGTERM may be noticed: the kernel may give it to any thread, but its handler runs in the main one."""

_STDIN = 0


def main() -> None:
    """Read the launch document from the first line of standard input; serve until SIGTERM, or until the input ends."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node tells when to drain
    launch, post = from_line(_first_line())
    threading.Thread(target=_end_with_the_node, name="lifeline", daemon=True).start()
    logging.basicConfig(level=max(logging.getLevelNamesMapping()[launch.log_level.upper()], logging.WARNING))
    serve(launch, post, stop)


def serve(launch: Launch, post: Post, stop: threading.Event) -> None:
    """Receive until `stop` is set; then finish what is open, close the journal and return.

    Raises TlsUnusable, StoreError and OSError if it cannot begin.
    """
    board = Board(post.board)
    row = board.row(post.process)
    journal = Journal(launch.root, launch.node, f"receive{post.process}", min_free_gb=launch.min_free_gb)
    row.set("boot", int(journal.boot, 16))
    backlog = Backlog(NodeTally(board), launch.max_backlog)

    def gate() -> Refusal | None:
        reason = backlog.refusal()
        return Refusal(reason) if reason else None

    receiver = StorageReceiver(
        launch.receiver,
        journal,
        gate=gate,
        meter=ProcessTally(board, post.process),
        slots=SharedSlots(board, post.process),
        admission=launch.admission,
    )
    receiver.start(list(_listening(launch, post)))
    row.set("state", State.SERVING)
    while not stop.wait(LOOK_SECONDS):
        journal.close_idle()
        receiver.tell_again()
    row.set("state", State.DRAINING)
    receiver.stop(launch.drain_seconds)
    journal.close()
    row.set("state", State.ENDED)


def _listening(launch: Launch, post: Post) -> Iterator[Listening]:
    yield from (Listening(each) for each in _inherited(post.plain))
    if launch.tls is not None:
        context = server_context(launch.tls)
        yield from (Listening(each, context) for each in _inherited(post.tls))


def _inherited(descriptors: Iterable[int]) -> Iterator[socket.socket]:
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
        inherited = socket.socket(fileno=descriptor)
        inherited.setblocking(False)
        yield inherited


def _first_line() -> bytes:
    """The first line of standard input, without reading ahead. Ends the process if the node is gone already."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(_STDIN, 1 << 16)
        if not piece:
            sys.exit(ORPHANED)
        line += piece
    return bytes(line)


def _end_with_the_node() -> None:
    """The node holds the other end of standard input: end of file means that it is gone, and nothing is kept waiting.

    What was acknowledged is durable, so there is nothing to finish; and the next node waits for the port.
    """
    while os.read(_STDIN, 1):
        pass
    os._exit(ORPHANED)
