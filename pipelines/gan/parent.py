"""A child process that ends with the command that started it."""

import os
import threading

_STDIN = 0


def end_with_parent() -> None:
    """End this process as soon as its standard input does.

    The command holds the other end of that pipe: it closes however the command dies, so no training goes on unseen. A
    checkpoint is replaced as a whole, so the end may come at any time.
    """
    threading.Thread(target=_wait, name="parent", daemon=True).start()


def _wait() -> None:
    while os.read(_STDIN, 4096):  # not through sys.stdin: its lock would be held when the interpreter ends
        pass
    os._exit(1)
