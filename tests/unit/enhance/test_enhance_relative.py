"""A folder of pipelines that was named by a relative path is found from anywhere afterwards."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = """
import os, sys
from pathlib import Path
from dicomnode.enhance.registry import Registry
Registry.load([Path("pipelines")], entry_points=False)
os.chdir(sys.argv[1])
print(Registry.load(entry_points=False).get("passthrough") is not None)
"""


def test_the_bundled_pipelines_stay_found_after_a_change_of_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr
