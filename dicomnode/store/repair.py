"""What can be done about a trouble between disk and index: a table, and the changes of rows."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import containers as container_rows
from dicomnode.db.repositories import retention, stored
from dicomnode.domain.finding import Finding, Severity
from dicomnode.store import index_aside
from dicomnode.store.doctor import Trouble
from dicomnode.store.hold import taken_over


@dataclass(frozen=True)
class Kind:
    """One kind of trouble: how bad, in which words ({count} of them), and what `repair` does about it."""

    severity: Severity
    words: str
    way_out: str
    while_running: bool = True
    """Whether it may be repaired beside a running node. Its indexer is the only one then, and reads no row twice."""


_REPAIR = "`dicomnode doctor --repair`"
KINDS = {
    "missing": Kind(
        Severity.ERROR,
        "{count} stored instances are missing",
        f"bring the container back from a backup, or {_REPAIR}: nothing tries to send or enhance them any more",
    ),
    "damaged": Kind(
        Severity.ERROR,
        "{count} stored instances are damaged",
        f"bring the container back from a backup, or {_REPAIR}: nothing tries to send or enhance them any more",
    ),
    "back": Kind(Severity.ERROR, "{count} instances are there again", f"{_REPAIR}: they count as stored again"),
    "unindexed": Kind(
        Severity.ERROR,
        "{count} instances are stored but not indexed",
        f"{_REPAIR} with the node stopped, or start the node; if it runs, its log says why it does not index",
        while_running=False,
    ),
    "unknown": Kind(
        Severity.ERROR,
        "{count} receipts have no row",
        f"stop the node and run {_REPAIR}: the container is indexed again from its start",
        while_running=False,
    ),
    "set_aside": Kind(
        Severity.ERROR,
        "{count} stored members are in no index: the database refuses them, or reading them fails",
        f"nothing of them is lost: it is tried again at every start and every hour, and by {_REPAIR} with the node "
        "stopped; the audit log has `store.set_aside` for each",
        while_running=False,
    ),
    "lost": Kind(
        Severity.ERROR,
        "{count} stored members that were in no index yet are gone with their container",
        f"bring the container back from a backup, or {_REPAIR}: nothing waits for them any more",
    ),
    "unfinished": Kind(
        Severity.ERROR, "an instance was cut off while it streamed in", f"{_REPAIR}: nobody was told that it is stored"
    ),
    "unnoted": Kind(Severity.INFO, "the index still lists a container that is gone", f"{_REPAIR} strikes it out"),
    "broken": Kind(
        Severity.ERROR, "a container cannot be read from its start", "bring the container back from a backup"
    ),
    "torn": Kind(Severity.INFO, "a container has a torn tail", "nothing is to be done: readers stop before it"),
    "stranger": Kind(Severity.WARNING, "a file is in the way", "move it away: this folder is the node's own"),
}


def finding(trouble: Trouble) -> Finding:
    """A trouble in words."""
    kind = KINDS[trouble.kind]
    series = sorted({row.series_uid for row in trouble.rows})
    message = f"{kind.words.format(count=trouble.count)}: {trouble.reason}"
    detail = {"count": trouble.count, "series": series, "sop_uids": [row.sop_uid for row in trouble.rows]}
    return Finding(
        f"store.{trouble.kind}",
        f"container:{trouble.container}",
        kind.severity,
        message,
        kind.way_out,
        detail=detail if trouble.count else {},
    )


def repair(session: Session, root: Path, trouble: Trouble, node: str) -> bool:
    """Change rows and files so that the trouble is none any more. False: nothing was done.

    After `unindexed` and `unknown` an indexer has to run, after `set_aside` it has to try once more. Raises OSError.
    """
    match trouble.kind:
        case "missing" | "damaged":
            return _write_off(session, trouble, node)
        case "back":
            return bool(stored.mark(session, trouble.rows, ""))
        case "unindexed" | "set_aside":
            return True
        case "lost":
            for aside in trouble.aside:
                index_aside.written_off(session, node, aside)
            return True
        case "unknown":
            container_rows.forget(session, trouble.container)
            return True
        case "unfinished":
            return _unlink(root / trouble.container)
        case "unnoted":
            retention.mark_removed(session, [trouble.container], database_now(session))
            return True
    return False


def _write_off(session: Session, trouble: Trouble, node: str) -> bool:
    """Nothing reads these rows' bytes from now on; what waits to be sent gets the reason; each series has its event."""
    marked = stored.mark(session, trouble.rows, trouble.kind)
    reason = f"its stored bytes are {trouble.kind}: {trouble.reason}"
    stored.fail_items(session, trouble.container, [row.sop_uid for row in marked], reason)
    for uid in sorted({row.series_uid for row in marked}):
        sop_uids = [row.sop_uid for row in marked if row.series_uid == uid]
        record(
            session,
            f"instance.{trouble.kind}",
            f"{len(sop_uids)} stored instances are {trouble.kind}: {trouble.reason}",
            node=node,
            actor="doctor",
            outcome="failure",
            series_uid=uid,
            subject=f"container:{trouble.container}",
            detail={"sop_uids": sop_uids},
        )
    return bool(marked)


def _unlink(path: Path) -> bool:
    with taken_over(path) as ours:
        if ours:
            path.unlink()
        return ours
