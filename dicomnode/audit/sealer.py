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
    """Seals what is new at every turn, and notes how far the chain has come every `anchor_seconds`, if it has grown.

    Between two anchors it remembers the end that it saw at its last turn. Who changes the log behind the last anchor
    and seals it anew is found a turn later by that, and what was remembered becomes an anchor: evidence that lasts.
    """

    def __init__(self, database: Database, node: str, anchors: AnchorFile | None, anchor_seconds: float) -> None:
        self._database, self._node = database, node
        self._anchors, self._anchor_seconds = anchors, anchor_seconds
        self._anchored_at = float("-inf")
        self._end: Anchor | None = None
        """The chain's end as it was last seen, whether it is noted or not."""
        self._begun = False

    @classmethod
    def of(cls, settings: Settings, database: Database) -> "Sealer":
        """A node's sealer, with anchors unless the settings want none."""
        folder = settings.audit.folder(settings.store.root)
        anchors = AnchorFile(folder, settings.node.name) if folder else None
        return cls(database, settings.node.name, anchors, settings.audit.anchor_seconds)

    def turn(self) -> bool:
        """Returns whether there is probably more to seal at once."""
        sealed = self._advance()
        if time.monotonic() - self._anchored_at >= self._anchor_seconds:
            self._anchored_at = time.monotonic()
            self._note(self._end)
        return sealed >= chain.BATCH

    def finish(self) -> None:
        """The last turn: everything is sealed and anchored."""
        self._advance()
        self._note(self._end)

    def _advance(self) -> int:
        """Look whether the end of last time still stands, seal, and remember the end. Returns how many were sealed."""
        if not self._begun:
            self._end, self._begun = self._last_noted(), True
        if self._end is not None and not self._stands(self._end):
            self._contradicted(self._end)
        sealed = chain.seal(self._database)
        self._end = self._seen()
        return sealed

    def _stands(self, anchor: Anchor) -> bool:
        with self._database.read() as session:
            link = chain.link(session, anchor.seq)
        return link is not None and link.hash == anchor.hash

    def _seen(self) -> Anchor | None:
        """The end as it is now; None where nothing is sealed yet."""
        with self._database.read() as session:
            first, end = chain.link(session, 1), chain.last(session)
        if end is None:
            return None
        at = datetime.now(UTC).isoformat()
        return Anchor(0, first.hash if first else "", end.seq, end.hash, end.event_id, at, self._node)

    def _last_noted(self) -> Anchor | None:
        try:
            return self._anchors.last() if self._anchors is not None else None
        except OSError as error:
            self._cannot(error)
            return None

    def _note(self, end: Anchor | None) -> None:
        """An anchor of that end, if it is not the last one. A disk that refuses is logged: sealing goes on."""
        if self._anchors is None or end is None:
            return
        try:
            before = self._anchors.last()
            if before is None or (end.seq, end.hash) != (before.seq, before.hash):
                self._anchors.append(end.log, end.seq, end.hash, end.event, end.time)
                log.info("audit anchor", seq=end.seq, hash=end.hash)
        except OSError as error:
            self._cannot(error)

    def _cannot(self, error: OSError) -> None:
        path = str(self._anchors.path) if self._anchors is not None else ""
        log.error("the audit log's anchor cannot be written", path=path, error=str(error))

    def _contradicted(self, anchor: Anchor) -> None:
        """Told once: from now on it is the chain as it is now that is remembered."""
        self._note(anchor)
        message = f"link {anchor.seq} of the audit log is not what this node noted at {anchor.at}: verify the log"
        log.error("the audit log does not agree with its anchor", seq=anchor.seq, noted=anchor.hash)
        detail = {"seq": anchor.seq, "noted": anchor.hash}
        with self._database.write() as session:
            record(session, "audit.contradicted", message, node=self._node, outcome="failure", detail=detail)
