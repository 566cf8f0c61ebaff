"""The machine as a network sees it: the device, and torch."""

from importlib.metadata import version
from typing import Any

import torch

from dicomnode.cli.bench.machine import machine, processor
from dicomnode.enhance.device import fast_bfloat16


def described(device: torch.device) -> dict[str, Any]:
    """The machine, the device that computes on it, threads and versions."""
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "torch_threads": torch.get_num_threads(),
        "fast_bfloat16": fast_bfloat16(device),
        "torch": version("torch"),
        **machine(),
    }
