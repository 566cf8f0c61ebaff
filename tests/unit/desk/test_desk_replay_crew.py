"""A replay ends when one of its processes dies, and says what to do."""

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.webapp import headless

from dicomnode.desk.rules.replaying import crew
from dicomnode.desk.rules.replaying.crew import Crew, CrewFailed
from dicomnode.desk.rules.replaying.part import Part
from dicomnode.domain.site import Site

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PARTS = [Part((NOW, ""), (NOW, "1.2"), NOW, 1)] * 500
ANSWER = '{"count": 1, "tally": {}, "changes": [], "left_out": 0}'
ENDURING = f"""
import sys, time
for line in sys.stdin:
    time.sleep(0.05)
    print('{ANSWER}', flush=True)
"""
DYING = """
import os, sys
sys.stdin.readline(), sys.stdin.readline()
{}
"""


@pytest.mark.parametrize(
    ("last_words", "message"),
    [
        ("sys.exit(9)", "ended with status 9"),
        ("os.kill(os.getpid(), 9)", "was killed by signal 9"),
        ("sys.stdout.write('{\"count\": '); sys.exit(9)", "ended with status 9"),
    ],
)
def test_one_that_dies_among_others_ends_the_replay(
    last_words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed for want of memory, say. The other one goes on answering, and both threads want it."""
    programs = iter([ENDURING, DYING.format(last_words)])
    started: list[subprocess.Popen[str]] = []

    def start(first: dict[str, Any]) -> "subprocess.Popen[str]":
        command = [sys.executable, "-I", "-S", "-c", next(programs)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        crew._send(started[-1], first)
        return started[-1]

    monkeypatch.setattr(crew, "_start", start)
    two = Crew(headless(tmp_path).flow, Site(), Site(), 2)
    said: list[str] = []

    def replay() -> None:
        try:
            with two:
                list(two.found(PARTS, lambda: 0))
        except CrewFailed as error:
            said.append(str(error))

    thread = threading.Thread(target=replay, daemon=True)
    thread.start()
    thread.join(60)
    has_ended = not thread.is_alive()
    for child in started:  # lets a thread go that still waits for one
        two._free.put(child)
    assert has_ended
    assert said == [f"a process of the replay {message}: {crew.IF_ONE_DIES}"]
    assert all(child.returncode is not None for child in started)
