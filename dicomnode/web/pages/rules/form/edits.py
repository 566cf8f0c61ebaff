"""What the buttons of the editor do to the rows: each is `verb:place`, and says which field to go on in."""

from collections.abc import Callable
from dataclasses import replace

from dicomnode.web.pages.rules.form.nodes import Group, Node, Row

Steps = tuple[int, ...]
Edit = Callable[[Node, Steps], tuple[Node, Steps]]
"""The tree and the place of a button -> the tree afterwards, and the place to go on at."""

ROOT = "when"


def edit(tree: Node, action: str) -> tuple[Node, str]:
    """The tree after `add:when.0` and the like, and the field to focus. What is no such action changes nothing."""
    verb, _, place = action.partition(":")
    root, *steps = place.split(".")
    if verb not in _EDITS or root != ROOT or not all(step.isascii() and step.isdigit() for step in steps):
        return tree, ""
    path = tuple(map(int, steps))
    if _at(tree, path) is None:
        return tree, ""
    tree, onward = _EDITS[verb](tree, path)
    return tree, _field(tree, onward)


def _add(tree: Node, path: Steps) -> tuple[Node, Steps]:
    return _append(tree, path, Row())


def _add_group(tree: Node, path: Steps) -> tuple[Node, Steps]:
    inner = "any" if getattr(_at(tree, path), "kind", "all") == "all" else "all"
    tree, onward = _append(tree, path, Group(inner, (Row(),)))
    return tree, (*onward, 0)


def _append(tree: Node, path: Steps, new: Node) -> tuple[Node, Steps]:
    group = _at(tree, path)
    if not isinstance(group, Group):
        group = Group("all", (group,) if group is not None else ())
    return _put(tree, path, (replace(group, children=(*group.children, new)),)), (*path, len(group.children))


def _remove(tree: Node, path: Steps) -> tuple[Node, Steps]:
    if not path:
        return Group("all"), ()
    tree = _put(tree, path, ())
    parent = _at(tree, path[:-1])
    left = len(parent.children) if isinstance(parent, Group) else 0
    return tree, (*path[:-1], min(path[-1], left - 1)) if left else path[:-1]


def _move(by: int) -> Edit:
    def move(tree: Node, path: Steps) -> tuple[Node, Steps]:
        parent = _at(tree, path[:-1]) if path else None
        if not isinstance(parent, Group) or not 0 <= path[-1] + by < len(parent.children):
            return tree, path
        children = list(parent.children)
        children.insert(path[-1] + by, children.pop(path[-1]))
        return _put(tree, path[:-1], (replace(parent, children=tuple(children)),)), (*path[:-1], path[-1] + by)

    return move


def _wrap(tree: Node, path: Steps) -> tuple[Node, Steps]:
    inner = _at(tree, path)
    parent = _at(tree, path[:-1]) if path else None
    kind = "any" if isinstance(parent, Group) and parent.kind == "all" else "all"
    return (tree, path) if inner is None else (_put(tree, path, (Group(kind, (inner,)),)), (*path, 0))


def _unwrap(tree: Node, path: Steps) -> tuple[Node, Steps]:
    group = _at(tree, path)
    if not isinstance(group, Group) or (not path and len(group.children) != 1):
        return tree, path
    return _put(tree, path, group.children), path


_EDITS: dict[str, Edit] = {
    "add": _add,
    "group": _add_group,
    "remove": _remove,
    "up": _move(-1),
    "down": _move(+1),
    "wrap": _wrap,
    "unwrap": _unwrap,
    "value": lambda tree, path: (tree, path),
}


def _at(tree: Node, path: Steps) -> Node | None:
    for step in path:
        if not isinstance(tree, Group) or step >= len(tree.children):
            return None
        tree = tree.children[step]
    return tree


def _put(tree: Node, path: Steps, instead: tuple[Node, ...]) -> Node:
    """The tree with other nodes in place of the one at `path`; the root itself gives way to one node alone."""
    if not path:
        return instead[0] if instead else Group("all")
    assert isinstance(tree, Group)
    first, below = path[0], path[1:]
    child = tree.children[first]
    new = instead if not below else (_put(child, below, instead),)
    return replace(tree, children=(*tree.children[:first], *new, *tree.children[first + 1 :]))


def _field(tree: Node, path: Steps) -> str:
    prefix = ".".join((ROOT, *map(str, path)))
    node = _at(tree, path)
    return f"{prefix}.attribute" if isinstance(node, Row) else f"{prefix}.kind" if node is not None else ""
