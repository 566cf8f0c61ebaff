"""Copies of the log: over real TLS, in order, and nothing lost however often the collector is away."""

import re
from pathlib import Path

import pytest
from support.auditschema import check
from support.certificates import Authority
from support.collector import Collector
from support.matrix import RecordRow
from support.peers import free_port
from support.tampering import Intruder

from dicomnode.audit import chain
from dicomnode.audit.copies.copier import Copier
from dicomnode.audit.events import record
from dicomnode.db.database import Database
from dicomnode.db.models import AuditCursor
from dicomnode.domain.tls import TlsUnusable
from dicomnode.settings import AuditSettings, DicomSettings, NodeSettings, Settings, TlsIdentitySettings

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "ca")


def sign_ins(database: Database, first: int, count: int) -> None:
    """Sealed events that have a message, each between two that have none."""
    with database.write() as session:
        for number in range(first, first + count):
            record(session, "enhancement.claimed", "none", node="n")
            record(
                session,
                "session.began",
                "in",
                node="n",
                actor="x",
                subject=f"u{number}",
                detail={"address": "10.1.1.1"},
            )
    chain.seal(database)


def copier(database: Database, url: str, ca: Path | None = None, node: str = "n") -> Copier:
    tls = {"audit": TlsIdentitySettings(ca=ca)} if ca else {}
    settings = Settings(
        node=NodeSettings(name=node), dicom=DicomSettings(ae_title="NODE"), audit=AuditSettings(syslog=url), tls=tls
    )
    found = Copier.of(settings, database)
    assert found is not None
    return found


def people(messages: list[bytes]) -> list[str]:
    return [re.search(rb'UserID="(\w+)"', message).group(1).decode() for message in messages]  # type: ignore[union-attr]


def named(first: int, last: int) -> list[str]:
    return [f"u{number}" for number in range(first, last + 1)]


def cursor(database: Database) -> int:
    with database.read() as session:
        return session.get_one(AuditCursor, "syslog").seq


def test_messages_come_over_tls_in_order_each_once(database: Database, authority: Authority) -> None:
    sign_ins(database, 1, 20)
    with Collector(authority.issue("collector")) as collector:
        copies = copier(database, f"tls://localhost:{collector.port}", authority.cert)
        copies.turn()
        sign_ins(database, 21, 5)
        copies.turn()
        copies.turn()
        messages = collector.wait_for(25)
        copies.stop()
    assert people(messages) == named(1, 25)
    assert cursor(database) == 50
    head, _, body = messages[0].partition(b"\xef\xbb\xbf")
    assert re.fullmatch(rb'<85>1 \S+Z n dicomnode \d+ DICOM\+RFC3881 \[meta sequenceId="2"\] ', head)
    check(body)


def test_nothing_is_lost_while_the_collector_is_away(database: Database, record_row: RecordRow) -> None:
    port = free_port()
    copies = copier(database, f"tcp://127.0.0.1:{port}")
    sign_ins(database, 1, 3)
    copies.turn()
    copies.turn()
    came: list[bytes] = []
    for round in range(3):
        with Collector(port=port) as collector:
            copies.turn()
            came += collector.wait_for(3)[:]
            copies.turn()  # it has stayed: what it took counts
        sign_ins(database, 4 + 3 * round, 3)
        copies.turn()
        copies.turn()
    assert people(came) == named(1, 9)
    record_row(26, "3 outages of the collector", node="9 messages, each once and in order")


def test_what_a_collector_may_have_lost_is_sent_again(database: Database) -> None:
    port = free_port()
    copies = copier(database, f"tcp://127.0.0.1:{port}")
    sign_ins(database, 1, 3)
    with Collector(port=port) as collector:
        copies.turn()
        collector.wait_for(3)
    assert cursor(database) == 0, "it hung up before it counted"
    with Collector(port=port) as collector:
        copies.turn()  # hears that the first one is gone
        copies.turn()
        assert people(collector.wait_for(3)) == named(1, 3)
        copies.turn()
    assert cursor(database) == 6


@pytest.mark.parametrize("moved", ["seq = 12", "node = 'x', lease_until = '2100-01-01 00:00:00.000000'"])
def test_copies_cannot_be_stopped_by_moving_their_place(database: Database, moved: str) -> None:
    """Who has the database could let the collector miss whatever comes next."""
    port = free_port()
    copies = copier(database, f"tcp://127.0.0.1:{port}")
    sign_ins(database, 1, 3)
    with Collector(port=port) as collector:
        copies.turn()
        copies.turn()
        assert people(collector.wait_for(3)) == named(1, 3)
        sign_ins(database, 4, 3)
        Intruder(database).does(f"UPDATE audit_cursor SET {moved}")
        sign_ins(database, 7, 3)
        copies.turn()
        assert people(collector.wait_for(9)) == named(1, 9)


def test_a_collector_that_nobody_vouches_for_gets_nothing(
    database: Database, authority: Authority, tmp_path: Path
) -> None:
    sign_ins(database, 1, 3)
    stranger = Authority(tmp_path / "other").issue("collector")
    with Collector(stranger) as collector:
        copies = copier(database, f"tls://localhost:{collector.port}", authority.cert)
        copies.turn()
        assert collector.messages == []
    assert cursor(database) == 0


def test_one_node_at_a_time_copies(database: Database) -> None:
    sign_ins(database, 1, 3)
    with Collector() as collector:
        url = f"tcp://127.0.0.1:{collector.port}"
        first, second = copier(database, url, node="a"), copier(database, url, node="b")
        for _ in range(3):
            first.turn()
            second.turn()
        assert people(collector.wait_for(3)) == named(1, 3)
        first.stop()


def test_without_an_authority_there_is_no_tls(database: Database) -> None:
    with pytest.raises(TlsUnusable, match=r"\[tls\.audit\]"):
        copier(database, "tls://localhost:6514")


@pytest.mark.parametrize("url", ["tcp://collector.example:514", "udp://127.0.0.1:514", "tls://host", "tls://host:1/x"])
def test_addresses_that_would_give_patients_away_or_make_no_sense_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="syslog"):
        AuditSettings(syslog=url)
