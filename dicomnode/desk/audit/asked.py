"""What somebody asks of the audit log, in words: times, kinds and the rest, as pages, programs and commands send it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

from dicomnode.audit.events import KINDS
from dicomnode.db.repositories.audit_search import Filters
from dicomnode.desk.refused import Refused

OUTCOMES = ("success", "warning", "failure")
GROUPS = sorted({kind.partition(".")[0] for kind in KINDS})


@dataclass(frozen=True)
class Asked:
    """Filters as text; empty: anything.

    `since` and `until` are ISO 8601: a day, which is meant as a whole, or an instant, in the node's own time zone where
    it names none. `kind` is a kind or a group such as `delivery`.
    """

    since: str = ""
    until: str = ""
    kind: str = ""
    actor: str = ""
    outcome: str = ""
    series: str = ""
    study: str = ""
    subject: str = ""

    def set(self) -> Mapping[str, str]:
        """Those that are set, by name."""
        return {name: text for name, text in asdict(self).items() if text}

    def filters(self) -> Filters:
        """As the log is searched by. Raises Refused for what cannot be understood."""
        if any("\0" in text for text in self.set().values()):
            raise Refused("no event has a NUL character in it")
        return Filters(
            since=_instant(self.since, "since", timedelta()),
            until=_instant(self.until, "until", timedelta(days=1)),
            kinds=_kinds(self.kind),
            actor=self.actor,
            outcome=self.outcome,
            study_uid=self.study,
            series_uid=self.series,
            subject=self.subject,
        )


def _kinds(text: str) -> tuple[str, ...]:
    if text in KINDS or not text:
        return (text,) if text else ()
    group = tuple(kind for kind in KINDS if kind.startswith(f"{text}."))
    if not group:
        raise Refused(f"there is no kind of event called {text!r}, and no group of kinds")
    return group


def _instant(text: str, name: str, whole_day: timedelta) -> datetime | None:
    """The instant; of a day its beginning, or its end."""
    if not text:
        return None
    try:
        if len(text) <= len("2026-01-01"):
            return _local(datetime.combine(date.fromisoformat(text) + whole_day, datetime.min.time()))
        return _local(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise Refused(f"{name} is neither a day such as 2026-01-31 nor an instant such as 2026-01-31T08:00") from error


def _local(instant: datetime) -> datetime:
    return instant.astimezone(UTC)  # what names no zone is taken for the node's own
