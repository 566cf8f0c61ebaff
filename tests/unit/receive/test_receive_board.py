"""The board between real processes: slots are never given twice, die with their holder, and figures add up."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from dicomnode.receive.board import NODE_CELLS, PROCESS_CELLS, Board, State
from dicomnode.receive.shared_slots import SharedSlots
from dicomnode.receive.statuses import Status
from dicomnode.receive.tally import NodeTally, ProcessTally

SLOTS = 64


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board.create(processes=2, slots=SLOTS)
    yield made
    made.close()


def another_process(board: Board, code: str) -> "subprocess.Popen[str]":
    """Python in a process of its own that inherits the board: `board` is there, and what the module has."""
    place = board.place
    head = (
        "import fcntl, sys, time\n"
        "from dicomnode.receive.board import *\n"
        "from dicomnode.receive.shared_slots import SharedSlots\n"
        "from dicomnode.receive.statuses import Status\n"
        "from dicomnode.receive.tally import *\n"
        f"board = Board({place!r})\n"
    )
    command = [sys.executable, "-c", head + code]
    inherited = (place.memory, place.bell)
    return subprocess.Popen(command, pass_fds=inherited, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_names_of_cells_are_unique() -> None:
    assert len(set(NODE_CELLS)) == len(NODE_CELLS)
    assert len(set(PROCESS_CELLS)) == len(PROCESS_CELLS)
    assert {f"status {status.code}" for status in Status} <= set(PROCESS_CELLS)


def test_the_slots_are_shared_by_all_processes(board: Board) -> None:
    first, second = SharedSlots(board, 0), SharedSlots(board, 1)
    taken = [first.take() for _ in range(40)] + [second.take() for _ in range(24)]
    assert sorted(slot for slot in taken if slot is not None) == list(range(SLOTS))
    assert first.take() is None
    assert second.take() is None
    second.free(63)
    assert first.take() == 63
    second.free(63)
    assert board.slots_taken() == SLOTS, "a slot that is another's by now is not given back a second time"


def test_no_slot_is_given_twice_to_processes_and_threads_that_race(board: Board) -> None:
    code = (
        "import threading\n"
        "slots, got = SharedSlots(board, int(sys.stdin.readline())), []\n"
        "def grab():\n"
        "    while (slot := slots.take()) is not None: got.append(slot)\n"
        "threads = [threading.Thread(target=grab) for _ in range(4)]\n"
        "[each.start() for each in threads]; [each.join() for each in threads]\n"
        "print(*got)\n"
    )
    racers = [another_process(board, code) for _ in range(2)]
    found: list[int] = []
    for number, racer in enumerate(racers):
        assert racer.stdin is not None
        racer.stdin.write(f"{number}\n")
        racer.stdin.flush()
    for racer in racers:
        found += map(int, racer.communicate(timeout=60)[0].split())
    assert sorted(found) == list(range(SLOTS))


def test_slots_of_a_killed_process_come_back_and_those_of_others_stay(board: Board) -> None:
    own = SharedSlots(board, 0)
    assert [own.take(), own.take()] == [0, 1]
    with another_process(board, "print([SharedSlots(board, 1).take() for _ in range(5)], flush=True); time.sleep(60)"
                         ) as other:  # fmt: skip
        assert said(other) == "[2, 3, 4, 5, 6]"
        assert board.slots_taken() == 7
        other.kill()
    board.clear_slots(1)
    assert board.slots_taken() == 2
    assert own.take() == 2


def test_a_process_killed_while_it_takes_a_slot_stops_nobody(board: Board) -> None:
    """The lock is the kernel's: it ends with its holder."""
    code = "fcntl.lockf(board.place.memory, fcntl.LOCK_EX); print('holds', flush=True); time.sleep(60)"
    with another_process(board, code) as holder:
        assert said(holder) == "holds"
        waiting = threading.Thread(target=SharedSlots(board, 0).take, daemon=True)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive(), "the lock holds among processes"
        holder.send_signal(signal.SIGKILL)
        waiting.join(60.0)
        assert not waiting.is_alive()
    assert board.slots_taken() == 1


def test_figures_of_all_processes_add_up(board: Board) -> None:
    code = (
        "tally = ProcessTally(board, 1)\n"
        "for _ in range(3): tally.answered(Status.SUCCESS, 1000, 0.001)\n"
        "tally.answered(Status.CANNOT_UNDERSTAND, 7, 0.001)\n"
        "[tally.association(outcome) for outcome in ('opened', 'opened', 'rejected', 'released')]\n"
        "board.row(1).set('state', State.SERVING)\n"
    )
    own, node = ProcessTally(board, 0), NodeTally(board)
    own.answered(Status.SUCCESS, 24, 0.001)
    own.association("opened")
    with another_process(board, code) as other:
        assert other.wait(60) == 0
    assert node.acknowledged == 4
    assert node.answered(Status.CANNOT_UNDERSTAND) == 1
    assert node.received_bytes == 3031
    assert node.open_associations == 2
    assert node.associations("rejected") == 1
    assert node.serving() == 1
    assert board.row(0).get("state") == State.ABSENT


def test_counts_of_many_threads_are_exact(board: Board) -> None:
    tally = ProcessTally(board, 0)

    def count() -> None:
        for _ in range(2000):
            tally.answered(Status.SUCCESS, 1, 0.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert NodeTally(board).acknowledged == 8000


def test_the_bell_is_rung_only_for_a_node_that_waits(board: Board) -> None:
    tally, node = ProcessTally(board, 0), NodeTally(board)
    os.set_blocking(board.place.bell, False)
    tally.answered(Status.SUCCESS, 1, 0.0)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(board.place.bell)
    os.set_blocking(board.place.bell, True)
    seen = node.wait_for_change(0)
    assert seen == 1, "what came before it waited is told at once"

    heard: list[int] = []
    waiter = threading.Thread(target=lambda: heard.append(node.wait_for_change(seen)), daemon=True)
    waiter.start()
    until = time.monotonic() + 60.0
    while not board.get("node waits") and time.monotonic() < until:
        time.sleep(0.001)
    with another_process(board, "ProcessTally(board, 1).association('opened')") as other:
        assert other.wait(60) == 0
    waiter.join(60.0)
    assert heard == [2]
    assert board.get("node waits") == 0
