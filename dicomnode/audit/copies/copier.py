"""The copier: what is sealed goes to the collector, in the chain's order, and nothing is left out.

The log itself is the buffer: a cursor says how far the collector has it. Syslog has no answers, so a batch counts once
its bytes are acknowledged *and* the connection still stands a second later, at the next turn. Until then it may be sent
twice, never not.
"""

import ssl
import time
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dicomnode.audit import chain
from dicomnode.audit.copies.message import Known, audit_message
from dicomnode.audit.copies.syslog import Collector, Connection, frame
from dicomnode.db.clock import Clock
from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.models import AuditChain, AuditCursor, AuditEvent, Series, Study
from dicomnode.domain.tls import TlsFiles, TlsUnusable, strict_context
from dicomnode.observe import log
from dicomnode.settings import Settings
from dicomnode.settings.audit import IDENTITY

SECONDS = 1.0
BATCH = 1000
"""At each turn, one every SECONDS: more than a busy hospital's events."""
LEASE = timedelta(seconds=60)
"""Longer than a turn can take; a node that dies leaves the copying to another one then."""
CURSOR = "syslog"
LAST_WAIT = 0.2


class Copier:
    """One node's copier; `turn` is for a loop. Among several nodes one at a time copies."""

    def __init__(self, database: Database, node: str, ae_title: str, collector: Collector) -> None:
        self._database, self._node, self._ae_title, self._collector = database, node, ae_title, collector
        self._connection: Connection | None = None
        self._sent: int | None = None
        """The last link that is sent, and counts if the connection stands at the next turn."""
        self._is_away = False
        self._counted: int | None = None
        """Up to where this node itself knows that the collector has it."""

    @classmethod
    def of(cls, settings: Settings, database: Database) -> "Copier | None":
        """A node's copier; None where no collector is set. Raises TlsUnusable."""
        if not settings.audit.syslog:
            return None
        identity = settings.tls.get(IDENTITY)
        paths = {each: str(getattr(identity, each, None) or "") for each in ("ca", "cert", "key")}
        collector = Collector.of(settings.audit.syslog, TlsFiles(f"tls.{IDENTITY}", **paths))
        if collector.files is not None:
            if not collector.files.ca:
                raise TlsUnusable(f"audit.syslog needs [tls.{IDENTITY}] with the `ca` that vouches for the collector")
            strict_context(ssl.PROTOCOL_TLS_CLIENT, collector.files)
        return cls(database, settings.node.name, settings.dicom.ae_title, collector)

    def turn(self) -> bool:
        """Send one batch. A collector that is away is waited for; never says that there is more to do at once."""
        try:
            if self._is_behind():
                at = self._claim()
                self._hang_up() if at is None else self._copy(at)
        except OSError as error:
            self._hang_up()
            if not self._is_away:
                log.warning("the audit log cannot be copied; it is kept and will be", error=str(error))
            self._is_away = True
        return False

    def stop(self) -> None:
        """What is sealed by now is sent if it is one batch, and counts if the collector has stayed; the rest later."""
        if not self._is_away:
            self.turn()
            time.sleep(LAST_WAIT)
            self.turn()
        self._hang_up()

    def _is_behind(self) -> bool:
        with self._database.read() as session:
            cursor, end = session.get(AuditCursor, CURSOR), chain.last(session)
        return end is not None and (cursor is None or end.seq > cursor.seq or self._was_moved(cursor))

    def _copy(self, at: int) -> None:
        self._counted = at
        if self._connection is None:
            self._connection = Connection(self._collector)
        self._connection.check()
        if self._sent is not None:
            self._count(self._sent)
            at, self._sent = self._sent, None
        with self._database.read() as session:
            links = _links(session, at)
            frames = b"".join(self._frame(session, link, event) for link, event in links)
        if not links:
            return
        if frames:
            self._connection.send(frames)
        if self._is_away:
            log.info("the audit log is copied again")
        self._is_away, self._sent = False, links[-1][0].seq

    def _frame(self, session: Session, link: AuditChain, event: AuditEvent) -> bytes:
        message = audit_message(event, _known(session, event), self._ae_title)
        return frame(message, event.at, event.node, link.seq) if message is not None else b""

    def _hang_up(self) -> None:
        self._sent = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _claim(self) -> int | None:
        """Where to go on, if this node is the one that copies. A lease that no node can have got holds nobody off."""
        with self._database.write() as session:
            now = database_now(session)
            over = (AuditCursor.lease_until < Clock()) | (AuditCursor.lease_until > now + 2 * LEASE)
            mine = (AuditCursor.node == self._node) | over
            cursor = session.get(AuditCursor, CURSOR)
            if cursor is None:
                session.add(AuditCursor(name=CURSOR, seq=0, node=self._node, lease_until=now + LEASE))
                try:
                    session.flush()
                except IntegrityError:  # another node was quicker
                    session.rollback()
                    return None
                return 0
            self._put_back(cursor)
            claim = update(AuditCursor).where(AuditCursor.name == CURSOR, mine)
            return session.scalar(claim.values(node=self._node, lease_until=now + LEASE).returning(AuditCursor.seq))

    def _was_moved(self, cursor: AuditCursor) -> bool:
        """Somebody with the database can move the place at which copying goes on, and hide what lies between: while
        no other node has copied it is known where that is.
        """
        return cursor.node == self._node and self._counted is not None and cursor.seq > self._counted

    def _put_back(self, cursor: AuditCursor) -> None:
        if self._counted is not None and self._was_moved(cursor):
            log.error("the place of the audit log's copies was moved", from_=self._counted, to=cursor.seq)
            cursor.seq = self._counted

    def _count(self, seq: int) -> None:
        """The collector has everything up to this link."""
        self._counted = seq
        with self._database.write() as session:
            mine = (AuditCursor.name == CURSOR) & (AuditCursor.node == self._node) & (AuditCursor.seq < seq)
            session.execute(update(AuditCursor).where(mine).values(seq=seq))


def _links(session: Session, after: int) -> Sequence[tuple[AuditChain, AuditEvent]]:
    query = select(AuditChain, AuditEvent).join(AuditEvent, AuditEvent.id == AuditChain.event_id)
    found = session.execute(query.where(AuditChain.seq > after).order_by(AuditChain.seq).limit(BATCH))
    return [(link, event) for link, event in found]


def _known(session: Session, event: AuditEvent) -> Known:
    series = session.get(Series, event.series_uid) if event.series_uid else None
    study_uid = event.study_uid or (series.study_uid if series else "")
    study = session.get(Study, study_uid) if study_uid else None
    return Known(study_uid, study.patient_id if study else "", series.calling_aet if series else "")
