"""`nodes` as it is typed: two nodes on one database, one of which fell silent."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from support.queuerows import delivery, fill, job
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Association, CommitmentRequest
from dicomnode.db.repositories import nodes


def test_what_each_node_has_in_hand(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dicomnode.toml").write_text(f'[database]\nurl = "{database.url}"\n[node]\nname = "right"\n')
    assert CliRunner().invoke(app, ["nodes"]).stdout == "no node has ever run on this database\n"
    fill(
        database,
        [job(1, "running", worker="left/cpu/0"), job(2, "running", worker="right/cpu/0"), job(3, "ready")],
        [delivery(1, "sending", node="right"), delivery(2, "sent", node="right")],
    )
    with database.write() as session:
        now = database_now(session)
        for name in ("left", "right"):
            nodes.add(session, name)
            nodes.enter(session, name, "boot", "1.0", "store")
        session.flush()
        row = nodes.find(session, "left")
        assert row is not None
        row.seen_at, row.taken_by = now - timedelta(hours=1), "right"
        about = dict.fromkeys(("calling_aet", "called_aet", "peer"), "")
        session.add(Association(id="a", node="left", opened_at=now, counts={}, **about))
        session.add(
            CommitmentRequest(
                transaction_uid="1.2", calling_aet="CT1", called_aet="", address="", association="", instances=[],
                received_at=now, state="waiting", due_at=now, claimed_by="right",
            )
        )  # fmt: skip
    left, right = json.loads(CliRunner().invoke(app, ["nodes", "--json"]).stdout)
    has = ("associations", "jobs", "deliveries", "requests")
    assert [left[name] for name in ("name", "state", "taken_by", *has)] == ["left", "silent", "right", 1, 1, 0, 0]
    assert [right[name] for name in ("name", "state", "taken_by", *has)] == ["right", "alive", "", 0, 1, 1, 1]
    assert (left["is_this_one"], right["is_this_one"]) == (False, True)
    assert "silent" in CliRunner().invoke(app, ["nodes"]).stdout
