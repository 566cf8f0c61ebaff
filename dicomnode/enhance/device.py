"""The device a worker owns, and the precision it is fast at."""

import functools
from pathlib import Path

import torch

from dicomnode.enhance.errors import EnhanceError

_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def open_device(name: str) -> torch.device:
    """The device "cpu", "cuda:0" and so on; "auto" is the first CUDA device, else the CPU.

    CUDA is set to its repeatable float32: no TF32, no search for the fastest kernel. EnhanceError if it is not there.
    """
    cuda = torch.cuda.is_available()
    try:
        device = torch.device(("cuda:0" if cuda else "cpu") if name == "auto" else name)
    except RuntimeError:
        raise EnhanceError(f"{name} is not the name of a device; use cpu, cuda:0 or auto") from None
    if device.type not in ("cpu", "cuda"):
        raise EnhanceError(f"the device {name} is not supported; use cpu, cuda:0 or auto")
    if device.type == "cuda":
        if not cuda or (device.index or 0) >= torch.cuda.device_count():
            raise EnhanceError(f"the device {name} is not there: {torch.cuda.device_count()} CUDA devices were found")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return device


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is computed in hardware; a CPU without it is slower with autocast than without."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return _cpu_has_bfloat16()


@functools.cache
def _cpu_has_bfloat16() -> bool:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = {flag for line in text.splitlines() if line.startswith(("flags", "Features")) for flag in line.split()}
    return bool(flags & {"avx512_bf16", "amx_bf16"})


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: CUDA has a type for it, the CPU's allocator only words."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
