"""The tensors in a file that somebody else made: safetensors, or a torch checkpoint of tensors alone.

Nothing in the file is run: a checkpoint is opened with `weights_only=True`, which refuses every pickled object that is
not a tensor or a plain container.
"""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomnode.cli.common import fail

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]
_LARGEST_BYTES = 4 << 30
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


def read_tensors(path: Path) -> Tensors:
    """Every tensor by its name; those in nested tables by the names joined with dots, what is no tensor left aside.

    Raises CommandFailed with one sentence: no such file, larger than 4 GiB, neither format, pickled code inside.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}")
    if size > _LARGEST_BYTES:
        fail(f"{path.name} is larger than {_LARGEST_BYTES >> 30} GiB; export the generator alone")
    if start.startswith((_ZIP, _PICKLE)):
        return dict(_flat(_checkpoint(path)))
    if start[8:9] == b"{":
        return _safetensors(path)
    fail(f"{path.name} is neither a safetensors file nor a torch checkpoint")


def _safetensors(path: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: Tensors = load_file(path)
    except (SafetensorError, ValueError, KeyError):
        fail(f"{path.name} is a broken safetensors file")
    return tensors


def _checkpoint(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        fail(
            f"{path.name} holds pickled code, which is never run here; where it was made, save the tensors alone: "
            "torch.save(generator.state_dict(), FILE)"
        )
    except Exception as error:  # torch raises many kinds for what it cannot read
        if "TorchScript" in str(error):
            fail(f"{path.name} is a TorchScript program, which is code; save the tensors alone: state_dict()")
        fail(f"{path.name} is a broken torch checkpoint")


def _flat(node: Any, name: str = "") -> Iterator[tuple[str, "torch.Tensor"]]:
    import torch

    if isinstance(node, torch.Tensor):
        yield name, node.detach()
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _flat(value, f"{name}.{number}" if name else str(number))
