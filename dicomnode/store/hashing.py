"""A second pair of hands for the hash of a large data set: another core computes it while this one writes."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from dicomnode.store.part10 import Buffer, fingerprint


class Hashing:
    """One background thread, lent to whoever finds it free. Safe to use from many threads.

    With a single association a core has nothing to do while an instance is written; with several it has, and then
    everybody hashes for himself.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hashing")
        self._free = threading.Semaphore(1)

    def begin(self, data_set: Buffer, transfer_syntax_uid: str) -> "Future[str] | None":
        """The fingerprint (`part10.fingerprint`) to come; None where the thread is taken.

        It must be waited for: `data_set` is read until it is there.
        """
        if not self._free.acquire(blocking=False):
            return None
        try:
            future = self._pool.submit(fingerprint, data_set, transfer_syntax_uid)
        except RuntimeError:  # the interpreter is shutting down, or has no thread to give
            self._free.release()
            return None
        future.add_done_callback(lambda _: self._free.release())
        return future
