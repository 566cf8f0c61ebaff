"""Names of accounts: none is one by which the node itself acts in the audit log."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dicomnode
from dicomnode.desk.accounts.names import TAKEN, checked, folded
from dicomnode.desk.refused import Refused


def written(tree: ast.Module) -> Iterator[str]:
    """Texts that a module has for an actor: as argument, as a default, as the name of a Person; constants followed."""
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Call):
            found = [each.value for each in node.keywords if each.arg == "actor"]
            found += node.args[:1] if isinstance(node.func, ast.Name) and node.func.id == "Person" else []
        elif isinstance(node, ast.arguments):
            found = [
                value for each, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if each.arg == "actor"
            ]
        for value in found:
            value = named.get(value.id) if isinstance(value, ast.Name) else value
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.value


def test_nobody_is_called_as_the_node_calls_itself():
    package = Path(dicomnode.__file__).parent
    found = {name for file in package.rglob("*.py") for name in written(ast.parse(file.read_text("utf-8")))}
    assert found >= {"node", "nobody", "doctor", "the sign-in provider"}
    assert {folded(name) for name in found} <= TAKEN


@pytest.mark.parametrize("name", ["doctor", "Doctor", "the sign-in provider", "ｎｏｄｅ", "Command Line"])
def test_a_name_of_the_log_is_not_given_away(name):
    with pytest.raises(Refused, match="take another name"):
        checked(name)
