"""Who seals and anchors in a running node."""

import time
from datetime import UTC, datetime

from dicomnode.audit import chain
from dicomnode.audit.anchors import Anchor, AnchorFile
from dicomnode.audit.events import record
from dicomnode.db.database import Database
from dicomnode.observe import log
from dicomnode.settings import Settings


class Sealer:
    """Seals what is new at every turn, and notes how far the chain has come every `anchor_seconds`, if it has grown."""

    def __init__(self, database: Database, node: str, anchors: AnchorFile | None, anchor_seconds: float) -> None:
        self._database, self._node = database, node
        self._anchors, self._anchor_seconds = anchors, anchor_seconds
        self._anchored_at = float("-inf")

    @classmethod
    def of(cls, settings: Settings, database: Database) -> "Sealer":
        """A node's sealer, with anchors unless the settings want none."""
        folder = settings.audit.folder(settings.store.root)
        anchors = AnchorFile(folder, settings.node.name) if folder else None
        return cls(database, settings.node.name, anchors, settings.audit.anchor_seconds)

    def turn(self) -> bool:
        """Returns whether there is probably more to seal at once."""
        sealed = chain.seal(self._database)
        if time.monotonic() - self._anchored_at >= self._anchor_seconds:
            self._anchored_at = time.monotonic()
            self.anchor()
        return sealed >= chain.BATCH

    def finish(self) -> None:
        """The last turn: everything is sealed and anchored."""
        chain.seal(self._database)
        self.anchor()

    def anchor(self) -> None:
        """Note the chain's end, if it is not noted yet. A disk that refuses is logged: sealing goes on."""
        if self._anchors is None:
            return
        try:
            self._note_end(self._anchors)
        except OSError as error:
            log.error("the audit log's anchor cannot be written", path=str(self._anchors.path), error=str(error))

    def _note_end(self, anchors: AnchorFile) -> None:
        before = anchors.last()
        with self._database.read() as session:
            first, end = chain.link(session, 1), chain.last(session)
            known = chain.link(session, before.seq) if before else None
        if before and (known is None or known.hash != before.hash):
            self._contradicted(before)
        if end and (before is None or (end.seq, end.hash) != (before.seq, before.hash)):
            anchors.append(first.hash if first else "", end.seq, end.hash, end.event_id, datetime.now(UTC))
            log.info("audit anchor", seq=end.seq, hash=end.hash)

    def _contradicted(self, anchor: Anchor) -> None:
        """Told once: the next anchor is of the chain as it is from now on, and agrees with it."""
        message = f"link {anchor.seq} of the audit log is not what this node noted at {anchor.at}: verify the log"
        log.error("the audit log does not agree with its anchor", seq=anchor.seq, noted=anchor.hash)
        detail = {"seq": anchor.seq, "noted": anchor.hash}
        with self._database.write() as session:
            record(session, "audit.contradicted", message, node=self._node, outcome="failure", detail=detail)
