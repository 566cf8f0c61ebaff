"""The association slots of one receiving process, out of those that all share."""

from dicomnode.receive.board import Board


class SharedSlots:
    """Slots on the board. What a process holds when it dies is given back by the node."""

    def __init__(self, board: Board, process: int) -> None:
        self._board, self._process = board, process

    def take(self) -> int | None:
        return self._board.take_slot(self._process)

    def free(self, slot: int) -> None:
        self._board.free_slot(self._process, slot)

    def is_crowded(self) -> bool:
        return self._board.is_crowded(self._process)
