"""Which failures `make test` tries a second time, by running a test as it does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]

NOT_IN_TIME = """
from pathlib import Path

def test_that_waits(tmp_path_factory):
    been = Path(__file__).with_suffix(".been")
    is_second = been.exists()
    been.touch()
    assert is_second, "waited 60 s"
"""
LOST = """
from pathlib import Path
from support.promises import promised

@promised()
def assert_kept(is_there):
    assert is_there, "an acknowledged instance is not in the store"

def test_that_loses():
    been = Path(__file__).with_suffix(".been")
    is_second = been.exists()
    been.touch()
    assert_kept(is_second)
"""
WRONG = """
def test_that_is_wrong():
    assert 1 + 1 == 3
"""


@pytest.mark.parametrize(
    ("text", "closing", "told"),
    [
        (NOT_IN_TIME, "1 passed, 1 rerun", "RERUN"),
        (LOST, "1 failed", "PromiseBroken: an acknowledged instance is not in the store"),
        (WRONG, "1 failed, 1 rerun", "assert (1 + 1) == 3"),
    ],
    ids=["not in time", "lost", "wrong"],
)
def test_a_second_try_is_told_and_forgives_no_broken_promise(
    tmp_path: Path, text: str, closing: str, told: str
) -> None:
    (tmp_path / "test_it.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", *options()]
    env = {"PYTHONPATH": str(REPOSITORY / "tests"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert re.search(rf"^=+ {closing} in ", done.stdout, re.MULTILINE), done.stdout
    assert told in done.stdout


def options() -> list[str]:
    """What `make test` gives pytest for second tries."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^SECOND\s*:= (.*)$", makefile, re.MULTILINE)
    return line.split()
