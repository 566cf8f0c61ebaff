"""Whether two processes decide by the same pipelines: told by what they imported, not by what lies there now."""

from pathlib import Path

from dicomnode.enhance.registry import Registry

BODY = """
from .shared import NEIGHBOURS as neighbours

def enhance(self, slices, params):
    return slices[:, 0]
"""


def loaded(folder: Path) -> Registry:
    return Registry.load([folder], bundled=False, entry_points=False)


def with_helper(write_pipeline) -> Path:
    folder: Path = write_pipeline(BODY)
    (folder / "shared.py").write_text("NEIGHBOURS = 2\n", encoding="utf-8")
    return folder


def test_a_registry_agrees_with_one_of_the_same_files(write_pipeline) -> None:
    folder = with_helper(write_pipeline)
    first = loaded(folder).fingerprint()
    (folder / "notes.py").write_text("nobody imports this", encoding="utf-8")
    assert loaded(folder).agrees(first) is False  # what cannot be read is a broken pipeline
    (folder / "notes.py").write_text("NOBODY = 'imports this'\n", encoding="utf-8")
    assert loaded(folder).agrees(first)


def test_an_edited_pipeline_is_another_one(write_pipeline) -> None:
    folder = with_helper(write_pipeline)
    first = loaded(folder).fingerprint()
    write_pipeline(f"{BODY}\ntitle = 'of the same name and version'")
    second = loaded(folder)
    assert not second.agrees(first)
    assert second.agrees(second.fingerprint())
    write_pipeline(BODY, name="other")
    assert not loaded(folder).agrees(second.fingerprint())


def test_a_helper_counts_as_it_was_imported(write_pipeline) -> None:
    folder = with_helper(write_pipeline)
    first = loaded(folder).fingerprint()
    (name,) = [name for name in first["code"] if name.endswith(".shared")]
    (folder / "shared.py").write_text("NEIGHBOURS = 16\n", encoding="utf-8")
    again = loaded(folder)  # this process has the helper already, and goes on with it
    assert again.usable("tiny").create().neighbours == 2
    assert again.agrees(first)
    assert not again.agrees({**first, "code": {**first["code"], name: "of another file"}})
