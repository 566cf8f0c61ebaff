"""A node that is stopped past its lease and goes on: another one has taken over, and no instance goes out twice.

Two processes with a sender each, under two names, on one database and one store.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from sqlalchemy import text
from support.databases import new_database
from support.matrix import Form, RecordRow, forms
from support.scriptedpacs import ScriptedPacs
from support.sendingbench import SendingBench

from dicomnode.db.database import Database

pytestmark = pytest.mark.faults

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))
LEASE = 2.0
LANES = 2


@pytest.fixture
def bench(each_database: None, tmp_path: Path) -> Iterator[SendingBench]:
    database = new_database(tmp_path / "database")
    yield SendingBench(tmp_path / "node", database=database)
    database.close()


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["paused", "killed"])
@pytest.mark.parametrize("form", forms(23))
def test_another_node_goes_on(bench: SendingBench, form: Form, how: signal.Signals, record_row: RecordRow) -> None:
    """Half of the series is sent by one; the rest by the other, soon after the lease of the first ran out."""
    gaps, repeats = [], 0
    with ScriptedPacs() as pacs:
        pacs.slow_seconds = 0.01
        for _ in range(form["rounds"]):
            uids = bench.plan([FILE], copies=form["instances"])
            before = len(pacs.asked)
            senders = {name: start_sender(bench, name, pacs.port) for name in ("a", "b")}
            try:
                pacs.wait_until(lambda before=before: len(pacs.asked) > before + form["instances"] // 3, "the first")
                holder = senders[bench.deliveries()[-1].node]
                strike(holder, how, bench.database)
                stopped_at = time.monotonic()
                bench.wait_for("sent", seconds=60.0)
                gaps.append(
                    next(each.at for each in pacs.asked[before:] if each.at > stopped_at + LEASE / 2) - stopped_at
                )
                if how is signal.SIGSTOP:
                    holder.send_signal(signal.SIGCONT)
                    time.sleep(1.0)
            finally:
                for child in senders.values():
                    child.kill()
                    child.wait(10)
            sends = Counter(each.sop_uid for each in pacs.asked[before:])
            assert set(sends) == set(uids)
            repeats += sum(sends.values()) - len(uids)
    assert repeats <= LANES * form["rounds"], "at most what was on the wire, once"
    assert max(gaps) < LEASE + 5
    assert len(bench.events("delivery.taken_over")) == form["rounds"]
    how_long = f"others went on after {max(gaps):.1f} s at most (lease {LEASE:g} s)"
    record_row(form, node=f"{how.name}: each instance once, but {repeats} on the wire; {how_long}")


def strike(holder: "subprocess.Popen[bytes]", how: signal.Signals, database: Database) -> None:
    """Stop the process, and not inside a transaction: that is another fault, with an end of its own.

    Nobody takes a lock on a file from a process that lives; PostgreSQL ends a silent transaction, but after 30 s.
    """
    holder.send_signal(how)
    while how is signal.SIGSTOP and (is_locked(database) if database.is_sqlite else is_silent(database)):
        holder.send_signal(signal.SIGCONT)
        time.sleep(0.01)
        holder.send_signal(how)


def is_silent(database: Database) -> bool:
    """Whether a transaction waits for what its client says, for longer than one takes."""
    time.sleep(0.3)
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    silent = "state LIKE 'idle in transaction%' AND clock_timestamp() - state_change > interval '0.2 s'"
    with database.read() as session:
        return session.scalar(text(f"SELECT count(*) FROM pg_stat_activity WHERE {others} AND {silent}")) != 0


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


def start_sender(bench: SendingBench, node: str, port: int) -> "subprocess.Popen[bytes]":
    """A process that sends, under this node's name, what is due in the bench's ledger until it is ended."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    url = bench.database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, __file__, str(bench.root.parent), url, node, str(port)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})


def _serve(root: Path, url: str, node: str, port: int) -> None:
    bench = SendingBench(root, made=True, database=Database(url))
    sender = bench.sender(port, node=node, associations=LANES, lease_seconds=LEASE)
    sender.start()
    sender.join()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
