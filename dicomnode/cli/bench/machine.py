"""What was measured on: figures mean nothing without it."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dicomnode import __version__
from dicomnode.enhance.device import fast_bfloat16


def described(device: torch.device) -> dict[str, Any]:
    """Processor, device, threads, versions, and how busy the machine was with other work when this was asked."""
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "torch_threads": torch.get_num_threads(),
        "fast_bfloat16": fast_bfloat16(device),
        "load_average": round(os.getloadavg()[0], 2),
        "dicomnode": __version__,
        "torch": version("torch"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
