"""The stamp of a folder of pipelines that is changed while it is looked through."""

import errno
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from dicomnode import app
from dicomnode.enhance.folder_stamp import Watch, stamp


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pipelines, one with a package beside it."""
    for name in ("one.py", "two.py", "beside/__init__.py", "beside/deep/net.py", "beside/deep/notes.txt"):
        path = tmp_path / "pipelines" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return tmp_path / "pipelines"


def names(folder: Path) -> set[str]:
    return {name for name, *_ in stamp(folder)}


def test_what_a_pipeline_may_consist_of_is_in_it(folder: Path) -> None:
    assert names(folder) == {"one.py", "two.py", "beside/__init__.py", "beside/deep/net.py"}
    assert stamp(folder / "none") == frozenset()
    before = stamp(folder)
    (folder / "two.py").write_text("longer than it was", encoding="utf-8")
    assert {name for name, *_ in stamp(folder) ^ before} == {"two.py"}


@pytest.mark.parametrize("gone", ["beside", "beside/deep"])
def test_a_folder_that_vanishes_while_it_walks_is_passed_over(
    folder: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed after its name was read, and before it is."""
    list_folder = os.scandir

    def scandir(path: Any) -> Iterator[os.DirEntry[str]]:
        if str(path) == str(folder / gone):
            shutil.rmtree(folder / gone)
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert {"one.py", "two.py"} <= names(folder) <= {"one.py", "two.py", "beside/__init__.py"}
    assert not (folder / gone).exists()


def test_a_share_that_does_not_answer_is_no_empty_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: Any) -> Iterator[os.DirEntry[str]]:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match="Input/output error"):
        stamp(folder)


def test_a_share_that_is_away_for_a_while_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> Iterator[Any]:
        raise OSError(errno.EIO, "Input/output error")

    def read() -> None:
        reads.append(sorted(names(folder)))

    watch, reads = Watch(folder), list[list[str]]()
    watch.on_change(read)
    with capture_logs() as said, monkeypatch.context() as patch:
        patch.setattr(os, "walk", away)
        for _ in range(3):
            watch.on_change(read)
    watch.on_change(read)
    assert (len(said), reads) == (1, [])
    (folder / "two.py").unlink()
    watch.on_change(read)
    watch.on_change(read)
    assert len(reads) == 1, "it is read, and then nothing changes"


def test_the_sweep_reaps_and_completes_beside_a_file_that_no_parser_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases go before the look: a share may take its time to answer."""
    done = list[str]()
    settings = SimpleNamespace(pipelines=SimpleNamespace(path=tmp_path))
    flow = SimpleNamespace(registry=None)
    node: Any = SimpleNamespace(settings=settings, flow=flow, _seldom_from=0.0, _pipelines=Watch(tmp_path))
    node._reap = lambda: done.append(f"reap, {'read' if flow.registry else 'not read'}")
    node._gathered = SimpleNamespace(gather=lambda: None)
    node._read_pipelines_again = partial(app.Node._read_pipelines_again, node)
    monkeypatch.setattr(app, "complete_due", lambda *_: done.append("complete"))
    (tmp_path / "table.py").write_text("x = " + "+".join(["1"] * 5000), encoding="utf-8")
    app.Node._sweep_now(node)
    assert done == ["reap, not read", "complete"]
    assert "table" in flow.registry.broken()


def test_what_cannot_be_read_again_holds_nobody_up_is_told_once_and_tried_at_every_look(folder: Path) -> None:
    def read() -> None:
        reads.append(None)
        if fails:
            raise ValueError("it could not be read just now")

    watch, reads, fails = Watch(folder), list[None](), True
    with capture_logs() as said:
        (folder / "two.py").unlink()
        for _ in range(3):
            watch.on_change(read)
        assert (len(said), len(reads)) == (1, 3)
        (folder / "one.py").unlink()
        watch.on_change(read)
        fails = False
        for _ in range(2):
            watch.on_change(read)
    assert [line["error"] for line in said] == ["ValueError: it could not be read just now"] * 2, "once for each state"
    assert len(reads) == 5, "four times in vain, once more, and then nothing changes"
