"""Find pipeline files and load each on its own, so that a broken one is a line on the screen and nothing more.

A top-level `.py` file is a pipeline if it defines a class with `Pipeline` among its bases, or one with another base
that sets both `name` and `version` (a variant of the pipeline in another file). That is read from the syntax tree:
other files of the folder (data loaders, trainers) are never run here. Sub-packages belong to the pipelines beside
them and are imported only by those.
"""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from dicomnode.enhance.api import Pipeline

BUNDLED_PACKAGE = "dicomnode_pipelines"
"""Name under which the bundled pipelines travel in the wheel and are loaded from a source checkout."""

ENTRY_POINT_GROUP = "dicomnode.pipelines"


class NotLoadable(Exception):
    """One sentence on why a file or entry point gives no pipeline."""


def in_a_line(error: BaseException) -> str:
    """What code fails by that is loaded, when no patient's data is at hand: the error's type and words."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")


def bundled_folder() -> Path | None:
    """Folder of the bundled pipelines: the installed package, else `pipelines` beside the `dicomnode` package."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    checkout = Path(__file__).resolve().parents[2] / "pipelines"
    return checkout if checkout.is_dir() else None


def package_of(folder: Path) -> str:
    """Package name that a folder's files are loaded under: its own for each folder, so that none can shadow another."""
    bundled = bundled_folder()
    if bundled is not None and folder.resolve() == bundled.resolve():
        return BUNDLED_PACKAGE
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return f"dicomnode_site_{digest}"


def pipeline_files(folder: Path) -> Iterator[Path]:
    """The top-level files of `folder` that define a pipeline, and those too broken to tell; sorted by name."""
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py" and _may_hold_pipeline(path):
            yield path


def load_file(path: Path) -> type[Pipeline]:
    """The pipeline class of one file; NotLoadable with one sentence, whatever the file does wrong."""
    package = package_of(path.parent)
    if not path.stem.isidentifier():
        raise NotLoadable(f"{path.name} is not a Python module name; use letters, digits and underscores")
    _ensure_package(package, path.parent)
    name = f"{package}.{path.stem}"
    if package != BUNDLED_PACKAGE:
        sys.modules.pop(name, None)  # an administrator's edited file is read again; bundled classes stay the same
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except SyntaxError as error:
        raise NotLoadable(f"{path.name} line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise NotLoadable(f"{path.name} cannot be imported: {in_a_line(error)}") from error
    return _only_pipeline(module)


def load_entry_point(point: EntryPoint) -> type[Pipeline]:
    """The pipeline class that an entry point names, itself or by its module; NotLoadable as for a file."""
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        raise NotLoadable(f"{point.value} cannot be imported: {in_a_line(error)}") from error
    if isinstance(found, ModuleType):
        return _only_pipeline(found)
    if inspect.isclass(found) and issubclass(found, Pipeline):
        return found
    raise NotLoadable(f"{point.value} is neither a pipeline nor a module with one")


def installed_entry_points() -> list[EntryPoint]:
    """Entry points of installed packages in the group `dicomnode.pipelines`, sorted by name."""
    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)


def _may_hold_pipeline(path: Path) -> bool:
    try:
        tree = ast.parse(path.read_bytes())
        return any(isinstance(node, ast.ClassDef) and _looks_like_pipeline(node) for node in tree.body)
    except Exception:  # not Python, not to be read, or so long an expression that the parser gives up
        return True  # loading it will say what is wrong


def _looks_like_pipeline(node: ast.ClassDef) -> bool:
    if any(ast.unparse(base).split(".")[-1] == "Pipeline" for base in node.bases):
        return True
    assigned = {
        name.id
        for item in node.body
        if isinstance(item, ast.Assign)
        for target in item.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }
    return bool(node.bases) and {"name", "version"} <= assigned


def _only_pipeline(module: ModuleType) -> type[Pipeline]:
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Pipeline) and value.__module__ == module.__name__
    ]
    concrete = [value for value in classes if not inspect.isabstract(value)]
    file = Path(module.__file__ or module.__name__).name
    if len(concrete) == 1:
        return concrete[0]
    if len(concrete) > 1:
        raise NotLoadable(f"{file} defines {len(concrete)} pipelines; one file is one pipeline")
    if classes:
        missing = ", ".join(sorted(classes[0].__abstractmethods__))
        raise NotLoadable(f"{file}: {classes[0].__name__} does not define {missing}")
    raise NotLoadable(f"{file} defines no pipeline")


def _ensure_package(package: str, folder: Path) -> None:
    """Make `folder` importable as `package`, with its own `__init__.py` left aside, so relative imports work."""
    if package in sys.modules or importlib.util.find_spec(package) is not None:
        return
    spec = ModuleSpec(package, loader=None, is_package=True)
    spec.submodule_search_locations = [str(folder.resolve())]  # what is found there must not depend on where we stand
    sys.modules[package] = importlib.util.module_from_spec(spec)
