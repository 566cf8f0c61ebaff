"""Whom the kernel ends when memory runs out."""

from contextlib import suppress
from pathlib import Path

SCORE = 500
"""As if it had half of the machine's memory more than it has (proc(5), oom_score_adj)."""


def go_first() -> None:
    """This process, and those it starts, go before any other of the node: work is tried again, receiving is not.

    Where the kernel has no such thing, or does not let us, nothing changes.
    """
    with suppress(OSError):
        own = Path("/proc/self/oom_score_adj")
        own.write_text(str(max(SCORE, int(own.read_text()))))
