"""What was measured on: figures mean nothing without it."""

import os
import platform
from pathlib import Path
from typing import Any

from dicomnode import __version__


def machine() -> dict[str, Any]:
    """Processor, versions, and how busy the machine was with other work when this was asked."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30), 1),
        "load_average": round(os.getloadavg()[0], 2),
        "dicomnode": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
