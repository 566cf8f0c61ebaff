"""Searching series: by words, UID, modality, sender, status and time, page by page, the newest arrival first."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicomnode.db.models import (
    DerivedSeriesRow,
    Enhancement,
    Instance,
    Outdating,
    Output,
    Series,
    Study,
)
from dicomnode.db.repositories import series_status
from dicomnode.db.repositories.values import values
from dicomnode.domain.search_text import TRANSCRIBED_LETTERS, Word, searched

MOST_WORDS = 8
"""Words of a search that count: each costs a pass over the studies."""

_UID = re.compile(r"[0-9]+(\.[0-9]+){3,}|2\.25\.[0-9]+")
"""What may be typed as a UID (PS3.5 9.1, B.2, and those with leading zeros that are about), and is no date."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for; empty fields say nothing.

    `patients`: whether names and identifiers are searched as well as descriptions; who may not see them may not find
    out by guessing either. `made`: `derived` (a dicomnode made it), `outdated` (what was derived from it is).
    """

    text: str = ""
    patients: bool = False
    modality: str = ""
    calling_aet: str = ""
    status: str = ""
    since: datetime | None = None
    until: datetime | None = None
    made: str = ""
    study_uid: str = ""


@dataclass(frozen=True)
class Found:
    """A series of the list, with what is counted for the rows shown alone."""

    series: Series
    study: Study
    instances: int
    status: str


def search(session: Session, wanted: Wanted, limit: int, after: tuple[datetime, str] | None = None) -> Sequence[Found]:
    """At most `limit` series, by (last arrival, UID) descending; `after` is that of the last one of the page before.

    A UID that nothing here has is taken for the beginning of one, as is one with a star or a full stop behind it; one
    that no UID here begins with for a word: accession numbers and patient IDs may be digits and full stops as well.
    """
    query = select(Series, Study).join(Study, Study.uid == Series.study_uid).where(*_conditions(wanted))
    if after is not None:
        query = query.where(tuple_(Series.last_arrival_at, Series.uid) < tuple_(*after))
    query = query.order_by(Series.last_arrival_at.desc(), Series.uid.desc()).limit(limit)
    uid = _uid_in(wanted.text)
    if not uid:
        rows = session.execute(query).all()
    else:
        rows = session.execute(query.where(_holding(uid))).all() if wanted.text.strip() == uid else []
        for asked in ((_beginning(uid),), tuple(_worded(uid, wanted.patients))):  # without an index: through all rows
            rows = rows or session.execute(query.where(*asked)).all()
    uids = [series.uid for series, _ in rows]
    counts, statuses = known_instances(session, uids), series_status.of(session, uids)
    return [Found(series, study, counts.get(series.uid, 0), statuses[series.uid]) for series, study in rows]


def known_instances(session: Session, uids: Sequence[str]) -> dict[str, int]:
    """Number of instances of each of these series, those included whose bytes are given up."""
    query = select(Instance.series_uid, func.count()).where(Instance.series_uid.in_(uids))
    return dict(session.execute(query.group_by(Instance.series_uid)).all())


def modalities(session: Session) -> Sequence[str]:
    """Those of the series here, in order."""
    return values(session, Series.modality)


def senders(session: Session) -> Sequence[str]:
    """Calling AE titles of the series here, in order."""
    return values(session, Series.calling_aet)


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if not _uid_in(wanted.text):
        yield from _worded(wanted.text, wanted.patients)
    if wanted.modality:
        yield Series.modality == wanted.modality
    if wanted.calling_aet:
        yield Series.calling_aet == wanted.calling_aet
    if wanted.study_uid:
        yield Series.study_uid == wanted.study_uid
    if wanted.since is not None:
        yield Series.last_arrival_at >= wanted.since
    if wanted.until is not None:
        yield Series.last_arrival_at < wanted.until
    if wanted.status:
        yield series_status.is_of(wanted.status)
    if wanted.made == "derived":
        yield Series.derived_by_node.is_(True)
    if wanted.made == "outdated":
        of_enhancement = select(Enhancement.series_uid).join(Outdating, Outdating.enhancement_id == Enhancement.id)
        yield Series.uid.in_(of_enhancement)


def _uid_in(text: str) -> str:
    """The UID that the text is, whole or the beginning of one; empty: it is words, each to be found somewhere."""
    typed = text.strip().rstrip(".*")
    return typed if _UID.fullmatch(typed) else ""


def _worded(text: str, patients: bool) -> Iterator[ColumnElement[bool]]:
    for word in searched(text)[:MOST_WORDS]:
        yield or_(*_places(word, patients))


def _places(word: Word, patients: bool) -> Iterator[ColumnElement[bool]]:
    """Where a word may stand. Whoever does not see patients must not find out by searching either."""
    yield from _found(word, Series.search_text, Series.description)
    if patients:
        yield from _found(word, Study.search_text, Study.patient_name, Study.description)
        for spelling in word.spellings:
            if not spelling.isascii():  # family and given name in one, as names are typed that are written so
                yield func.replace(Study.search_text, " ", "").contains(spelling, autoescape=True)


def _found(
    word: Word, column: InstrumentedAttribute[str], *of: InstrumentedAttribute[str]
) -> Iterator[ColumnElement[bool]]:
    """In a column of folded text, which was made of the columns `of`."""
    for spelling in word.spellings:
        yield column.contains(spelling, autoescape=True)
    if word.transcribed:
        has_letter = or_(*(each.contains(letter) for each in of for letter in TRANSCRIBED_LETTERS))
        yield and_(column.contains(word.transcribed, autoescape=True), has_letter)


def _beginning(uid: str) -> ColumnElement[bool]:
    return or_(Series.uid.startswith(uid), Series.study_uid.startswith(uid))


def _holding(uid: str) -> ColumnElement[bool]:
    """The series that has this UID, is of that study, holds that instance, or gave rise to it."""
    of_enhancement = select(Enhancement.series_uid)
    derived = of_enhancement.join(DerivedSeriesRow, DerivedSeriesRow.enhancement_id == Enhancement.id)
    output = of_enhancement.join(Output, Output.enhancement_id == Enhancement.id)
    holders = (
        select(Series.uid).where(or_(Series.uid == uid, Series.study_uid == uid)),
        select(Instance.series_uid).where(Instance.sop_uid == uid),
        derived.where(DerivedSeriesRow.uid == uid),
        output.where(Output.sop_uid == uid),
    )
    return Series.uid.in_(holders[0].union_all(*holders[1:]))
