"""Every kind of event that the log describes is written by some code, by its name or as one of a family."""

import ast
from pathlib import Path

import dicomnode
from dicomnode.audit import events
from dicomnode.audit.events import KINDS
from dicomnode.domain.states import DELIVERED

ROOT = Path(dicomnode.__file__).parent
FAMILIES = {
    "account.": {"added", "roles", "disabled", "enabled", "password"},
    "enhancement.": {"done", "withheld", "failed", "expired", "cancelled"},
    "delivery.": {*DELIVERED, "failed"},
    "instance.": {"variant", "correction", "conflict", "damaged", "missing"},
}
"""Kinds whose last word is a state: what `finish` and its like are called with."""


def words() -> tuple[set[str], set[str]]:
    """Every text in the program but for the list itself; and what texts with a blank begin with."""
    whole: set[str] = set()
    begun: set[str] = set()
    for path in ROOT.rglob("*.py"):
        if path == Path(events.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole.add(node.value)
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                begun.add(str(node.values[0].value))
    return whole, begun


def test_every_kind_is_written_somewhere() -> None:
    whole, begun = words()
    of_families = {prefix + word for prefix, states in FAMILIES.items() if prefix in begun for word in states & whole}
    assert set(KINDS) - whole - of_families == set()


def test_families_are_kinds_as_well() -> None:
    assert {prefix + word for prefix, states in FAMILIES.items() for word in states} <= set(KINDS)
