"""State machines as data. Every arrow says who draws it and why; nothing else moves a row."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Arrow:
    """One allowed change of state."""

    before: str
    after: str
    why: str


class NotAllowed(Exception):
    """A change of state that no arrow allows: a programming error, never a matter of data."""


@dataclass(frozen=True)
class Machine:
    """A named set of arrows over the states they mention."""

    name: str
    arrows: tuple[Arrow, ...]

    @property
    def states(self) -> frozenset[str]:
        return frozenset(state for arrow in self.arrows for state in (arrow.before, arrow.after)) - {""}

    def before(self, after: str) -> tuple[str, ...]:
        """The states from which `after` may be reached: the WHERE clause of a conditional update."""
        found = tuple(arrow.before for arrow in self.arrows if arrow.after == after and arrow.before)
        if not found:
            raise NotAllowed(f"{self.name}: nothing leads to {after}")
        return found

    def final(self) -> frozenset[str]:
        """The states that no arrow leaves."""
        return self.states - {arrow.before for arrow in self.arrows}


SERIES = Machine(
    "series",
    (
        Arrow("", "receiving", "the first instance of the series was indexed"),
        Arrow(
            "receiving", "complete", "evidence or quiet time says so; this makes a generation, its facts and its work"
        ),
        Arrow("complete", "receiving", "a late instance came; completion will make the next generation"),
    ),
)

ENHANCEMENT = Machine(
    "enhancement",
    (
        Arrow("", "ready", "a live rule matched a completed series and the pipeline accepted it"),
        Arrow("ready", "running", "a worker claimed it: attempt + 1, a lease on the database's clock"),
        Arrow("running", "running", "the worker renewed its lease"),
        Arrow("running", "done", "outputs committed under the attempt's fence"),
        Arrow("running", "withheld", "a guard vetoed: originals only, with the reason"),
        Arrow(
            "running",
            "ready",
            "the attempt failed, its worker died, its lease ran out, enhancing was stopped, or a late instance made a "
            "new generation; tried again later",
        ),
        Arrow("running", "failed", "the last allowed attempt failed: set aside with the reason"),
        Arrow("running", "expired", "the deadline had passed at commit: originals only"),
        Arrow("ready", "expired", "the deadline passed before a worker was free: originals only"),
        Arrow("ready", "cancelled", "an operator cancelled it, or its source was contradicted or rejected"),
        Arrow("running", "cancelled", "as from ready; the worker's commit will not pass the fence"),
        Arrow("failed", "ready", "an operator asked for a retry, or a late instance made a new generation"),
        Arrow("withheld", "ready", "an operator asked for a retry, or a late instance made a new generation"),
        Arrow("cancelled", "ready", "an operator asked for a retry"),
        Arrow("expired", "ready", "an operator asked for a retry, or a late instance made a new generation"),
        Arrow("done", "ready", "a late instance: the new generation's missing outputs are to be computed"),
        Arrow("done", "outdated", "the source was corrected, contradicted or rejected, or its outputs were"),
        *(
            Arrow(state, "outdated", "the same, and an earlier generation of it has outputs")
            for state in ("ready", "running", "failed", "withheld", "expired", "cancelled")
        ),
    ),
)

DELIVERY = Machine(
    "delivery",
    (
        Arrow("", "pending", "outputs were committed, or an original arrived that a rule forwards"),
        Arrow("pending", "sending", "its time has come and a node's sender took it: a lease on the database's clock"),
        Arrow("sending", "sent", "the destination answered success or warning for every instance"),
        Arrow(
            "sending",
            "pending",
            "transient failure (back-off), a restart, a lapsed lease, or instances that joined: the unsent alone",
        ),
        Arrow("sending", "failed", "what is left was refused for good: dead letter with the reason"),
        Arrow("sent", "committed", "the destination reported storage commitment for every instance"),
        Arrow("sent", "verified", "the destination has no storage commitment; its C-FIND named every instance"),
        Arrow("verified", "committed", "a report of storage commitment came after all"),
        Arrow("sent", "pending", "a late instance joined it, or the destination does not keep an instance it took"),
        Arrow("sent", "failed", "what the destination does not keep cannot be sent again: dead letter with the reason"),
        Arrow("verified", "pending", "a late instance joined it, or the destination reports that it lost an instance"),
        Arrow("verified", "failed", "what the destination lost cannot be sent again: dead letter with the reason"),
        Arrow("committed", "pending", "a late instance joined it"),
        Arrow("failed", "pending", "an operator requeued it, or a late instance joined it"),
        Arrow("cancelled", "pending", "an operator requeued it"),
        Arrow("pending", "cancelled", "an operator cancelled it, or sends it elsewhere; or it is outdated"),
        Arrow("sending", "cancelled", "as from pending; the instance on the wire is the last"),
        Arrow("failed", "cancelled", "an operator gave it up, or sends it elsewhere; or it is outdated"),
    ),
)

DELIVERED = ("sent", "verified", "committed")
"""States of a delivery that the destination took as a whole; what differs is how sure it is that it keeps it."""

COMMITMENT = Machine(
    "commitment",
    (
        Arrow("", "asked", "a delivery is sent; the row is committed before N-ACTION goes out"),
        Arrow("asked", "committed", "the report names every instance as committed"),
        Arrow("asked", "failed", "the report names instances that are not kept: those are sent again"),
        Arrow("asked", "refused", "the destination does not offer storage commitment, or refused this request"),
        Arrow("asked", "lapsed", "no report came in time: asked anew under a new Transaction UID, or given up"),
        Arrow("lapsed", "committed", "the report came late, and counts"),
        Arrow("lapsed", "failed", "the report came late, and counts"),
    ),
)

REQUEST = Machine(
    "commitment request",
    (
        Arrow("", "waiting", "a modality's N-ACTION was kept and answered"),
        Arrow("waiting", "judged", "every instance is either kept for good or known not to be"),
        Arrow("judged", "reported", "the modality answered N-EVENT-REPORT with success"),
        Arrow("judged", "abandoned", "the modality could not be reached for too long; an operator can report again"),
        Arrow("reported", "judged", "the modality asked again, or an operator reports again: the same answer"),
        Arrow("abandoned", "judged", "an operator asked to report again, or the modality asked again"),
    ),
)

RULE = Machine(
    "rule",
    (
        Arrow("", "draft", "an administrator wrote it; it is replayed and explained, and never acts"),
        Arrow("draft", "shadow", "published as a shadow: runs last, is measured, sends nothing"),
        Arrow("shadow", "live", "published after its evidence was seen: acts"),
        Arrow("draft", "live", "published without having run as a shadow; the replay warns of it"),
        Arrow("shadow", "draft", "taken back"),
        Arrow("live", "shadow", "taken back: measured again, sends nothing"),
        Arrow("live", "draft", "taken back"),
    ),
)

REPLAY = Machine(
    "replay",
    (
        Arrow("", "running", "somebody asked what a document would have done; the node goes through the past"),
        Arrow("running", "done", "every series was looked at; the result is kept, and lets the document be published"),
        Arrow("running", "stopped", "somebody stopped it"),
        Arrow("running", "failed", "its node ended, or it met an error; ask again"),
    ),
)
