"""System: what the node stands on, its processes, its settings without secrets, and the stop switch."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from support.certificates import Authority
from support.ledger import NOW, with_series, work
from support.webapp import Headless, client, headless

from dicomnode.audit import chain
from dicomnode.audit.events import record
from dicomnode.db.models import AuditChain, AuditEvent, NodeRow
from dicomnode.db.repositories import nodes
from dicomnode.desk import switch
from dicomnode.desk.live import Live, LoopState, ReceiverState
from dicomnode.jobs import ledger
from dicomnode.jobs.work import enter

LIVE = Live(
    listening=True,
    listens_on="127.0.0.1:11112",
    receivers=[ReceiverState(1, "serving", 3), ReceiverState(2, "draining", 0)],
    loops=[LoopState("index", True, "OperationalError: database is locked"), LoopState("seal", False)],
    workers=("n/cpu/0", "n/cuda:0/1"),
    workers_alive=1,
    backlog=17,
)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_what_the_node_stands_on(tmp_path: Path) -> None:
    node = headless(tmp_path)
    with node.flow.database.write() as session:
        record(session, "node.started", "it listens", node="n")
    chain.seal(node.flow.database)
    with node.flow.database.write() as session:
        record(session, "node.stopped", "it does not", node="n")
    browser = client(node, "viewer")
    body = browser.get("/api/v1/system").json()
    assert body["database"]["schema_revision"] == body["database"]["schema_needed"]
    assert body["database"]["size"] > 100_000
    assert body["disk"]["free"] <= body["disk"]["total"]
    with node.flow.database.read() as session:
        link = session.scalars(select(AuditChain).order_by(AuditChain.seq.desc())).first()
        events = session.scalar(select(func.count()).select_from(AuditEvent)) or 0
    assert link is not None
    assert (body["chain"]["seq"], body["chain"]["hash"], body["chain"]["unsealed"]) == (1, link.hash, events - 1)
    versions = dict(body["versions"])
    assert {"dicomnode", "Python", "pydicom", "SQLAlchemy"} <= set(versions)
    page = browser.get("/system")
    assert page.status_code == 200
    assert link.hash in page.text


def test_processes_loops_and_workers(tmp_path: Path) -> None:
    node = headless(tmp_path)
    with_series(node.flow.database)
    with node.flow.database.write() as session:
        enter(session, work(1), "n", NOW)
        held = ledger.claim(session, "n/cpu/0", "n", 60)
        assert held is not None
        assert ledger.renew(session, held, 60, "inferred")
    node.processes = LIVE
    browser = client(node, "viewer")
    body = browser.get("/api/v1/system").json()
    assert body["live"]["receivers"][0] == {"number": 1, "state": "serving", "associations": 3}
    assert [each["device"] for each in body["workers"]] == ["cpu", "cuda:0"]
    assert [each["job"] and each["job"]["stage"] for each in body["workers"]] == ["inferred", None]
    page = text_of(browser.get("/system").text)
    assert re.search(r"n/cpu/0 cpu \d+, p inferred", page)
    assert "17 instances stored and not indexed yet" in page
    assert "1 of this node's 2 processes run" in page.replace("&#39;", "'")
    assert re.search(r"index tries again OperationalError: database is locked seal ended", page)
    assert "2 draining 0" in page


def test_nodes_and_their_signs_of_life(tmp_path: Path) -> None:
    node = headless(tmp_path)
    with node.flow.database.write() as session:
        for name in ("alive", "silent", "stopped"):
            nodes.add(session, name)
            nodes.enter(session, name, "boot", "0.1", "store")
        nodes.leave(session, "stopped", "boot")
        row = session.get_one(NodeRow, "silent", populate_existing=True)
        row.seen_at -= timedelta(hours=1)
        row.taken_by = "alive"
    found = client(node, "viewer").get("/api/v1/system").json()["nodes"]
    assert [(each["name"], each["state"], each["taken_by"]) for each in found] == [
        ("alive", "alive", ""),
        ("silent", "silent", "alive"),
        ("stopped", "stopped", ""),
    ]


def test_secrets_are_on_no_page(tmp_path: Path) -> None:
    secret = "a-secret-of-the-provider"
    oidc = {"issuer": "https://sign-in.example", "client_id": "node", "client_secret": secret, "roles": {"a": "viewer"}}
    node = headless(tmp_path, web={"oidc": oidc, "public_url": "http://testserver"})
    browser = client(node, "admin")
    for path in ("/system", "/api/v1/system"):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert secret not in answer.text
        assert "sign-in.example" in answer.text


def test_the_stop_switch_with_its_reason(tmp_path: Path) -> None:
    node = headless(tmp_path)
    operator = client(node, "operator")
    page = operator.get("/system").text
    assert 'action="/system/enhancing/stop"' in page
    answer = operator.post("/system/enhancing/stop", data={"reason": " ghosts in the <liver> "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/system")
    stopped = switch.stopped(node.flow)
    assert stopped is not None
    assert (stopped.by, stopped.reason) == ("operator", "ghosts in the <liver>")
    assert "ghosts in the &lt;liver&gt;" in operator.get("/system").text
    viewer = client(node, "viewer")
    assert "/system/enhancing/start" not in viewer.get("/system").text
    assert viewer.post("/system/enhancing/start").status_code == 403
    assert viewer.get("/api/v1/switch").json()["stopped"]
    assert operator.post("/system/enhancing/start").status_code == 303
    assert switch.stopped(node.flow) is None
    with node.flow.database.read() as session:
        query = select(AuditEvent.kind, AuditEvent.actor).where(AuditEvent.kind.startswith("enhancing."))
        kinds = session.execute(query.order_by(AuditEvent.id)).all()
    assert [tuple(row) for row in kinds] == [("enhancing.stopped", "operator"), ("enhancing.started", "operator")]


def test_the_switch_for_programs_says_who_was_first(tmp_path: Path) -> None:
    program = client(headless(tmp_path), "admin")
    first = program.put("/api/v1/switch", json={"stopped": True, "reason": "first"}).json()
    again = program.put("/api/v1/switch", json={"stopped": True, "reason": "second"}).json()
    assert first == again
    assert (again["stopped"], again["reason"]) == (True, "first")
    assert program.put("/api/v1/switch", json={"stopped": False}).json() == {
        "stopped": False, "by": "", "reason": "", "since": None,
    }  # fmt: skip
    assert program.put("/api/v1/switch", json={"stopped": "perhaps"}).status_code == 422


def test_the_check_up_finds_what_is_wrong(tmp_path: Path) -> None:
    node = headless(tmp_path)
    node.flow.root.chmod(0o755)
    with node.flow.database.write() as session:
        nodes.add(session, "other")
    node.listening = False
    browser = client(node, "viewer")
    kinds = {each["kind"] for each in browser.get("/api/v1/system/check-up").json()}
    assert {"folder.open", "node.silent"} <= kinds
    assert not {"port", "device"} & kinds, "it does not listen, and no device is opened for a look"
    assert "other users of this machine may look into the store" in browser.get("/system/check-up").text
    assert "What the check-up found" not in browser.get("/system").text


@pytest.mark.parametrize(("days", "warns"), [(3, True), (300, False)])
def test_certificates_and_their_end(tmp_path: Path, days: int, warns: bool) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.issue("node", days=days)
    tls = {"port": 2762, "ca": authority.cert, "cert": issued.cert, "key": issued.key}
    node: Headless = headless(tmp_path / "node", dicom={"tls": tls})
    (found,) = client(node, "viewer").get("/api/v1/system").json()["certificates"]
    assert found["setting"] == "dicom.tls.cert"
    assert bool(found["warning"]) == warns


@pytest.mark.parametrize(("role", "sees"), [("admin", True), ("auditor", True), ("operator", False), ("viewer", False)])
def test_settings_are_for_who_sets_and_who_audits(tmp_path: Path, role: str, sees: bool) -> None:
    """They name networks, files, the provider and the collector: a map for who has found a viewer's browser."""
    node = headless(tmp_path, web={"destination_networks": ["10.77.0.0/16"]})
    browser = client(node, role)
    for answer in (browser.get("/system"), browser.get("/api/v1/system")):
        assert answer.status_code == 200
        assert [word in answer.text for word in ("destination_networks", "10.77.0.0/16", "node.db")] == [sees] * 3
