import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.rawfiles import sample

from dicomnode.store.members import DamagedMember, InstanceMember, members
from dicomnode.store.reading import containers, read_bytes

WRITER = """
import sys, threading
from pathlib import Path
from support.rawfiles import sample
from dicomnode.store.journal import Journal
journal, file, lock = Journal(Path(sys.argv[1]), "n", "p"), sample(), threading.Lock()
def write(worker):
    for number in range(100_000):
        uid = f"1.{sys.argv[2]}.{worker}.{number}"
        journal.append(file.receipt(sop_instance_uid=uid, series_uid=f"1.{worker % 2}"), file.data_set)
        with lock:
            print(uid, flush=True)
for worker in range(3):
    threading.Thread(target=write, args=(worker,)).start()
"""


@pytest.mark.faults
def test_every_acknowledged_instance_outlives_kill_9(tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
    chance = random.Random(20261122)
    acknowledged: set[str] = set()
    for turn in range(10):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, str(turn)], stdout=subprocess.PIPE, env=environment
        )
        assert writer.stdout is not None
        for _ in range(chance.randrange(6, 20)):
            acknowledged.add(writer.stdout.readline().decode().strip())
        time.sleep(chance.uniform(0.0, 0.02))
        writer.send_signal(signal.SIGKILL)
        lines = writer.stdout.read().decode().split("\n")
        writer.wait()
        acknowledged.update(line for line in lines[:-1])
    assert len(acknowledged) > 50
    found = {}
    for container in containers(tmp_path):
        for member in members(tmp_path, container.name):
            assert not isinstance(member, DamagedMember)
            if isinstance(member, InstanceMember):
                found[member.receipt.sop_instance_uid] = member.location
    assert acknowledged <= found.keys()
    data_set = sample().data_set
    assert all(read_bytes(tmp_path, location).endswith(data_set) for location in found.values())
