"""What `strace -f -y` tells of writes, data syncs and answers, and whether each answer waited for its sync."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CALLS = "fdatasync,fsync,sendto,sendmsg,write,writev,pwrite64,pwritev"

_LINE = re.compile(r"^(?P<thread>\d+)\s+(?P<rest>.*)$")
_RESUMED = re.compile(r"^<\.\.\. (?P<call>\w+) resumed>(?P<tail>.*)$")
_WHOLE = re.compile(r"^(?P<call>\w+)\(\d+<(?P<file>.*?)>(?P<arguments>[,)].*)\s+= (?P<result>-?\d+)")
_INSTANCE = ".dcm"
"""In the name of the first member that a write holds: an instance, not an event, which no answer waits for."""
_P_DATA_TF = re.compile(r'^, (\[\{iov_base=|\{.*iov_base=)?"\\4\\0')


@dataclass(frozen=True)
class Call:
    """One system call: `file` as strace resolved its descriptor, `begin` and `end` as places in the log."""

    thread: str
    name: str
    file: str
    arguments: str
    result: int
    begin: int
    end: int


def calls(log: Iterable[str]) -> Iterator[Call]:
    """The calls that returned, in order of their return; interrupted lines are put together by thread."""
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(log):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, rest, begin = match["thread"], match["rest"], number
        if rest.endswith("<unfinished ...>"):
            begun[thread] = number, rest.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            if thread not in begun:
                continue  # it began before strace looked
            begin, head = begun.pop(thread)
            rest = head + resumed["tail"]
        whole = _WHOLE.match(rest)
        if whole is not None:
            yield Call(thread, whole["call"], whole["file"], whole["arguments"], int(whole["result"]), begin, number)


@dataclass(frozen=True)
class Answer:
    """A P-DATA-TF to a peer, and whether what it answers for, written to these containers, was synced before."""

    socket: str
    place: int
    synced: bool
    containers: frozenset[str]


def answers(log: Iterable[str], container: str = "/containers/", member: str = _INSTANCE) -> list[Answer]:
    """Every P-DATA-TF that was sent, each held against the bytes its thread wrote to a container since the one before.

    `synced`: there were such bytes, and for each container written to, a data sync, of whatever thread, began after the
    last write had returned, succeeded, and returned before the answer began to go out. An association has one thread.
    `member`: in the name of the first member of a write that counts.
    """
    found: list[Answer] = []
    written_by: dict[str, dict[str, int]] = defaultdict(dict)
    syncs: dict[str, list[Call]] = defaultdict(list)
    for call in sorted(calls(log), key=lambda call: call.end):
        written = written_by[call.thread]
        if call.name in ("fdatasync", "fsync"):
            syncs[call.file].append(call)
        elif container in call.file and call.result > 0 and (member in call.arguments or call.file in written):
            written[call.file] = call.end
        elif call.name.startswith("send") and _P_DATA_TF.match(call.arguments):
            kept = [_synced(syncs[file], last, call.begin) for file, last in written.items()]
            found.append(Answer(call.file, call.begin, bool(kept) and all(kept), frozenset(written)))
            written.clear()
    return found


def _synced(syncs: Iterable[Call], last_write: int, answer: int) -> bool:
    return any(sync.begin > last_write and sync.end < answer and sync.result == 0 for sync in syncs)
