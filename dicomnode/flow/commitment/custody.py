"""What this node can say, now, of instances that a modality asked it to keep: from SQL, from the disk, byte by byte."""

from collections.abc import Callable, Collection
from datetime import datetime

from dicomnode.db.database import now as database_now
from dicomnode.db.models import CommitmentRequest
from dicomnode.db.repositories import containers, custody, reroutes
from dicomnode.db.repositories.custody import Kept
from dicomnode.db.repositories.stored import StoredRow
from dicomnode.domain.instance import Location
from dicomnode.domain.site import Site
from dicomnode.domain.vouching import Fail, FailureReason, Forwarded, Held, Keep, Onward, Opinion, Wait, judge
from dicomnode.flow.context import Flow
from dicomnode.store.fingerprints import fingerprint_at
from dicomnode.store.reading import containers as stored_containers
from dicomnode.store.unindexed import unindexed


class Custody:
    """The opinions on one request's instances, by SOP Instance UID, as of one moment: `seen_at`, the database's clock.

    Raises database errors and OSError.
    """

    def __init__(self, flow: Flow, request: CommitmentRequest) -> None:
        self._flow = flow
        listed = [uid for _, uid in request.instances]
        with flow.database.read() as session:
            self.seen_at: datetime = database_now(session)
            _, site = flow.site.get(session)
            self._kept = custody.kept(session, listed)
            unknown = set(listed) - self._kept.keys()
            files = stored_containers(flow.root) if unknown else []
            indexed_to = containers.indexed_to_of(session, [file.name for file in files])
            series = {kept.row.series_uid for kept in self._kept.values()}
            onward = custody.onward(session, series, listed)
            elsewhere = reroutes.targets(session, {row.delivery_id for row in onward if _is_cancelled(row)})
        self._forwarded: dict[str, list[Forwarded]] = {}
        going = {(row.sop_uid, row.destination) for row in onward}
        for row in onward:
            if _is_cancelled(row) and (row.sop_uid, elsewhere.get(row.delivery_id)) in going:
                continue  # the delivery that took this one's place is among them
            self._forwarded.setdefault(row.sop_uid, []).append(_forwarded(row, site))
        arriving = unindexed(flow.root, files, indexed_to, unknown)
        self.opinions: dict[str, Opinion] = {}
        for sop_class_uid, uid in request.instances:
            if not isinstance(self.opinions.get(uid), Fail):  # listed twice, with two classes: one of them is wrong
                self.opinions[uid] = judge(sop_class_uid, self._held(uid), arriving=uid in arriving)
        self.damaged: list[StoredRow] = []

    def series_of(self, sop_uid: str) -> str:
        """The series of an instance that is known."""
        return self._kept[sop_uid].row.series_uid

    def kept_here(self) -> dict[str, set[str]]:
        """The instances that this node itself is to keep, by series."""
        found: dict[str, set[str]] = {}
        for uid, opinion in self.opinions.items():
            if isinstance(opinion, Keep) and opinion.here:
                found.setdefault(self.series_of(uid), set()).add(uid)
        return found

    def read_bytes(self, meanwhile: Callable[[], None]) -> None:
        """Hold what is to be promised against what was received: every byte is read. Changes `opinions`, `damaged`."""
        promised = [self._kept[uid] for uid, opinion in self.opinions.items() if isinstance(opinion, Keep)]
        for kept in sorted(promised, key=lambda kept: (kept.row.container, kept.row.offset)):
            opinion = _proven(self._flow, kept)
            if opinion is not None:
                self.opinions[kept.row.sop_uid] = opinion
            if isinstance(opinion, Fail):
                self.damaged.append(kept.row)
            meanwhile()

    def retract(self, sop_uids: Collection[str]) -> None:
        """Retention was faster: these were given up since they were seen."""
        for uid in sop_uids:
            self.opinions[uid] = Fail(FailureReason.NO_SUCH_INSTANCE, "its stored bytes are purged")

    def _held(self, uid: str) -> Held | None:
        kept = self._kept.get(uid)
        if kept is None:
            return None
        forwarded = tuple(self._forwarded.get(uid, ()))
        return Held(kept.sop_class_uid, kept.gone, kept.contested, forwarded)


def _proven(flow: Flow, kept: Kept) -> Opinion | None:
    """None: the stored bytes are those that were received."""
    row = kept.row
    try:
        found = fingerprint_at(flow.root, Location(row.container, row.offset, row.length), row.transfer_syntax_uid)
    except EOFError:
        found = ""
    except OSError as error:  # it may pass; a container that is gone for good is the doctor's to say
        return Wait(f"its stored bytes cannot be read: {error.strerror}")
    if found == row.sha256:
        return None
    return Fail(FailureReason.PROCESSING_FAILURE, "its stored bytes are not those that were received")


def _is_cancelled(row: custody.Onward) -> bool:
    """Whether it is not sent to this destination, as an operator would have it."""
    return row.delivery_state == "cancelled" and row.item_state != "sent"


def _forwarded(row: custody.Onward, site: Site) -> Forwarded:
    """How far an original is on its way to one destination, in the words of the ledger of deliveries."""
    entry = site.destination(row.destination)
    kept = row.confirmed_at is not None or row.delivery_state in ("committed", "verified")
    onward, why = Onward.OPEN, ""
    if row.item_state == "failed":
        onward, why = Onward.LOST, f"it was refused: {row.item_detail}"
    elif row.item_state == "sent" and kept:
        onward = Onward.KEPT
    elif row.item_state == "sent" and entry is not None and entry.confirm == "none":
        onward = Onward.TAKEN
    elif row.delivery_state in _SET_ASIDE:
        onward, why = Onward.LOST, f"its delivery is {row.delivery_state}: {row.delivery_reason}"
    elif row.item_state == "sent" and row.delivery_state == "sent" and row.confirm_at is None:
        onward, why = Onward.LOST, f"it took the instance and has not confirmed it: {row.confirmation or 'never asked'}"
    elif row.item_state == "sent":
        onward = Onward.SENT
    return Forwarded(row.destination, onward, why)


_SET_ASIDE = ("failed", "cancelled")
