"""A node that is stopped past its lease and goes on: another one has taken over, and no instance goes out twice.

Two processes with a sender each, under two names, on one database and one store.
"""

import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from sqlalchemy import text
from support.databases import new_database
from support.matrix import Form, RecordRow, forms
from support.scriptedpacs import ScriptedPacs
from support.sendingbench import SendingBench

from dicomnode.db.database import Database
from dicomnode.deliver.destination import Timeouts

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))
LEASE = 2.0
LANES = 2
GRACE = 5.0
"""Seconds beyond the lease within which another node goes on, on a machine of its own."""
PATIENCE = 25.0
"""Beside other tests: less than the 30 s after which PostgreSQL ends a silent transaction."""
READY = b"ready\n"


@pytest.fixture
def bench(each_database: None, tmp_path: Path) -> Iterator[SendingBench]:
    database = new_database(tmp_path / "database")
    yield SendingBench(tmp_path / "node", database=database)
    database.close()


class Gate(ScriptedPacs):
    """Keeps what comes, and from so many C-STOREs on holds its responses back, until it is `opened`."""

    hold_from: float = math.inf

    def opened(self) -> None:
        self.hold_from = math.inf
        self._going_on.set()

    def _stored(self, event: Any) -> int:
        if len(self.asked) >= self.hold_from:
            self._going_on.clear()
        return super()._stored(event)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["paused", "killed"])
@pytest.mark.parametrize("form", forms(23))
def test_another_node_goes_on(bench: SendingBench, form: Form, how: signal.Signals, record_row: RecordRow) -> None:
    """A third of the series is sent by one; the rest by the other, soon after the lease of the first ran out."""
    gaps, repeats, struck = [], 0, []
    with Gate() as pacs:
        for _ in range(form["rounds"]):
            before = len(pacs.asked)
            pacs.hold_from = before + form["instances"] // 3
            senders = start_senders(bench, pacs.port)
            try:
                uids = bench.plan([FILE], copies=form["instances"])
                pacs.wait_until(lambda: len(pacs.asked) > pacs.hold_from, "a third, and one on the wire")
                name = bench.deliveries()[-1].node
                strike(senders[name], how, bench.database, name)
                stopped_at = time.monotonic()
                pacs.opened()
                bench.wait_until(lambda name=name: bench.deliveries()[-1].node != name, "the other one to go on")
                gaps.append(time.monotonic() - stopped_at)
                struck.append(name)
                bench.wait_for("sent")
                if how is signal.SIGSTOP:
                    senders[name].send_signal(signal.SIGCONT)
                    pacs.wait_until(lambda: pacs.open == 0, "the first one to leave its associations")
            finally:
                for child in senders.values():
                    child.kill()
                    child.wait()
            sends = Counter(each.sop_uid for each in pacs.asked[before:])
            assert set(sends) == set(uids)
            repeats += sum(sends.values()) - len(uids)
    assert max(gaps) < LEASE + (GRACE if form.is_long else PATIENCE)
    lapsed = [str(event.detail["from"]) for event in bench.events("delivery.taken_over")]
    assert not Counter(struck) - Counter(lapsed)  # a lease may lapse at another moment too, where a machine stalls
    assert repeats <= LANES * len(lapsed), "at most what was on the wire, once"
    how_long = f"others went on after {max(gaps):.1f} s at most (lease {LEASE:g} s)"
    record_row(form, node=f"{how.name}: each instance once, but {repeats} on the wire; {how_long}")


def strike(holder: "subprocess.Popen[bytes]", how: signal.Signals, database: Database, name: str) -> None:
    """Stop the process, and not inside a transaction: that is another fault, with an end of its own.

    Nobody takes a lock on a file from a process that lives; PostgreSQL ends a silent transaction, but after 30 s.
    """
    holder.send_signal(how)
    while how is signal.SIGSTOP and (is_locked(database) if database.is_sqlite else is_inside(database, name)):
        holder.send_signal(signal.SIGCONT)
        time.sleep(0.01)
        holder.send_signal(how)


def is_inside(database: Database, name: str) -> bool:
    """Whether a connection of this sender's is in a transaction, once the server has read what it had sent."""
    time.sleep(0.3)
    theirs = "datname = current_database() AND application_name = :name"
    with database.read() as session:
        inside = text(f"SELECT count(*) FROM pg_stat_activity WHERE {theirs} AND state <> 'idle'")
        return session.scalar(inside, {"name": name}) != 0


def is_locked(database: Database) -> bool:
    """Whether somebody holds the lock for writing, for longer than a transaction takes."""
    connection = sqlite3.connect(str(database.engine.url.database), timeout=0.5, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def start_senders(bench: SendingBench, port: int) -> "dict[str, subprocess.Popen[bytes]]":
    """Two processes that send, under their names, what is due in the bench's ledger until they are ended."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    url = bench.database.engine.url.render_as_string(hide_password=False)
    started = {}
    for name in ("a", "b"):
        command = [sys.executable, __file__, str(bench.root.parent), url, name, str(port)]
        env = {**os.environ, "PYTHONPATH": path, "PGAPPNAME": name}
        started[name] = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
    for child in started.values():
        assert child.stdout is not None
        assert child.stdout.readline() == READY, "a sender did not start"
    return started


def _serve(root: Path, url: str, node: str, port: int) -> None:
    bench = SendingBench(root, made=True, database=Database(url))
    timeouts = Timeouts(dimse=120.0)  # it waits for as long as the gate is shut
    sender = bench.sender(port, node=node, associations=LANES, lease_seconds=LEASE, timeouts=timeouts)
    sender.start()
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    sender.join()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
