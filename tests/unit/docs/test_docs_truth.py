"""The documents name only what is there: files behind links, commands behind code."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from dicomnode.audit.events import KINDS
from dicomnode.cli import app

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def commands() -> set[tuple[str, ...]]:
    """Every command of the program, as its words."""
    root = get_command(app)
    assert isinstance(root, typer.core.TyperGroup)
    found: set[tuple[str, ...]] = set()
    for name, command in root.commands.items():
        below = getattr(command, "commands", {})
        found |= {(name, sub) for sub in below} | {(name,)}
    return found


def named_commands(text: str) -> Iterator[tuple[str, ...]]:
    for match in re.finditer(
        r"dicomnode ([a-z]+)(?: ([a-z]+))?", "\n".join(re.findall(r"`[^`\n]+`|```.*?```", text, re.S))
    ):
        yield tuple(word for word in match.groups() if word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{target} is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    known = commands()
    with_verbs = {words[0] for words in known if len(words) == 2}
    for words in named_commands(page.read_text(encoding="utf-8")):
        asked = words if words[0] in with_verbs else words[:1]
        assert asked in known, f"there is no command {' '.join(words)}"


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_kind_of_audit_event_is_recorded_somewhere() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "dicomnode").rglob("*.py"))
    for kind in KINDS:
        group = kind.partition(".")[0]
        assert source.count(f'"{kind}"') > 1 or f'f"{group}.{{' in source, f"{kind} is described but never recorded"
