"""Searching series: what SQL finds is what going through all of them finds, page by page, on both databases."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.db.database import Database
from dicomnode.db.models import (
    Delivery,
    DerivedSeriesRow,
    Enhancement,
    Instance,
    Outdating,
    RuleDecision,
    Series,
    SiteRevision,
    Study,
)
from dicomnode.db.repositories import series_search, series_status
from dicomnode.db.repositories.series_search import Wanted, search
from dicomnode.domain.search_text import folded, search_text
from dicomnode.domain.states import DELIVERED

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
PEOPLE = (
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "Müller^Jörg",
    "Люкceмбypг",
    "Hong^Gildong=洪^吉洞=홍^길동",
    "100%_Sure^A",
)
MODALITIES, SENDERS = ("CT", "MR", "US"), ("CT1", "MR_1", "")
JOBS = ("ready", "running", "done", "withheld", "failed", "expired", "cancelled", "outdated")
DELIVERIES = ("pending", "sending", "sent", "verified", "committed", "failed", "cancelled")


@dataclass
class Known:
    """A series as the test made it."""

    series: Series
    study: Study
    instances: int
    jobs: list[tuple[str, int]] = field(default_factory=list)
    deliveries: list[str] = field(default_factory=list)
    without_work: bool = False
    outdated: bool = False

    @property
    def key(self) -> tuple[datetime, str]:
        return self.series.last_arrival_at, self.series.uid

    @property
    def status(self) -> str:
        """In other words than the table of statuses has it."""
        jobs = {state for state, priority in self.jobs if priority < 3}
        sent = set(self.deliveries)
        if "failed" in jobs or "failed" in sent:
            return "failed"
        for state, word in (
            ("withheld", "withheld"),
            (None, "receiving"),
            ("running", "enhancing"),
            ("ready", "waiting"),
        ):
            if state in jobs or (state is None and self.series.state == "receiving"):
                return word
        if sent & {"pending", "sending"}:
            return "delivering"
        if "done" not in jobs and (jobs & {"expired", "cancelled"} or self.without_work):
            return "originals only"
        if sent & set(DELIVERED):
            return "delivered"
        return "enhanced" if "done" in jobs else "complete"


@pytest.fixture
def known(database: Database) -> list[Known]:
    """Sixty series of twenty studies, with every mixture of work; some arrived at the very same time."""
    draw = random.Random(2)
    found: list[Known] = []
    with database.write() as session:
        session.add(SiteRevision(created_at=MONDAY, author="a", comment="", document={}))
        for number in range(60):
            found.append(known_one := _one(draw, number, found))
            if known_one.study not in session:
                session.add(known_one.study)
                session.flush()
            session.add(known_one.series)
            session.flush()
            for row in _rows(draw, known_one, number):
                session.add(row)
                session.flush()
    return found


def _one(draw: random.Random, number: int, before: list[Known]) -> Known:
    uid = f"1.2.826.{number // 3}.{number}"
    if number % 3:
        study = before[-1].study
    else:
        name = draw.choice(PEOPLE)
        texts = (name, f"P-{number}", f"ACC/{number}", "Thorax ÄP")
        study = Study(
            uid=f"1.2.826.{number // 3}", patient_name=name, patient_id=texts[1], accession_number=texts[2],
            study_date="20260302", description=texts[3], first_seen_at=MONDAY, search_text=search_text(*texts),
        )  # fmt: skip
    description = draw.choice(("Axial 5.0", "Sagittal", "t2_tse 100%"))
    series = Series(
        uid=uid, study_uid=study.uid, modality=draw.choice(MODALITIES), series_number="1", description=description,
        calling_aet=draw.choice(SENDERS), called_aet="NODE", state=draw.choice(("complete", "complete", "receiving")),
        generation=1, last_arrival_at=MONDAY + timedelta(hours=draw.randrange(30)),
        derived_by_node=draw.random() < 0.2, search_text=search_text(description),
    )  # fmt: skip
    return Known(series, study, draw.randrange(4))


def _rows(draw: random.Random, known: Known, number: int) -> Iterator[object]:
    uid = known.series.uid
    for place in range(known.instances):
        yield Instance(
            sop_uid=f"{uid}.{place}", series_uid=uid, sop_class_uid="1", transfer_syntax_uid="1", sha256="",
            is_image=True, association="a", calling_aet="CT1", received_at=MONDAY, container="c", offset=0, length=1,
        )  # fmt: skip
    for place in range(draw.randrange(3)):
        state, priority = draw.choice(JOBS), draw.choice((0, 1, 3))
        known.jobs.append((state, priority))
        job = Enhancement(
            key=f"{number}/{place}", series_uid=uid, generation=1, pipeline="p", version="1", weights_sha256="",
            params={}, writer_profile={}, state=state, priority=priority, not_before=MONDAY, created_at=MONDAY,
        )  # fmt: skip
        yield job
        yield DerivedSeriesRow(enhancement_id=job.id, uid=f"1.2.99.{number}.{place}", document={})
        if state == "outdated":
            known.outdated = True
            yield Outdating(enhancement_id=job.id, code="113039", reason="", outdated_at=MONDAY)
    for place in range(draw.randrange(3)):
        known.deliveries.append(draw.choice(DELIVERIES))
        yield Delivery(
            destination=f"d{place}", subject=f"series:{uid}", series_uid=uid, rule="r", state=known.deliveries[-1],
            not_before=MONDAY, created_at=MONDAY,
        )  # fmt: skip
    if draw.random() < 0.5:
        matched, state = draw.random() < 0.5, draw.choice(("live", "shadow"))
        known.without_work = matched and state == "live"
        yield RuleDecision(
            series_uid=uid, generation=1, revision=1, rule="r", rule_state=state, matched=matched, outcome="",
            deliver_to=[], explanation={}, decided_at=MONDAY,
        )  # fmt: skip


def fits(known: Known, wanted: Wanted) -> bool:
    series, study = known.series, known.study
    texts = [folded(series.description)]
    if wanted.patients:
        texts += [
            folded(each) for each in (study.patient_name, study.patient_id, study.accession_number, study.description)
        ]
        texts += [each.replace(" ", "") for each in texts[1:] if not each.isascii()]
    return (
        all(any(word in text for text in texts) for word in folded(wanted.text).split())
        and wanted.modality in ("", series.modality)
        and wanted.calling_aet in ("", series.calling_aet)
        and wanted.study_uid in ("", series.study_uid)
        and (wanted.since is None or series.last_arrival_at >= wanted.since)
        and (wanted.until is None or series.last_arrival_at < wanted.until)
        and wanted.status in ("", known.status)
        and (wanted.made != "derived" or series.derived_by_node)
        and (wanted.made != "outdated" or known.outdated)
    )


def paged(database: Database, wanted: Wanted, size: int) -> list[tuple[str, int, str]]:
    """All that fits, gathered page by page."""
    found: list[tuple[str, int, str]] = []
    after = None
    with database.read() as session:
        while rows := search(session, wanted, size, after):
            found += [(row.series.uid, row.instances, row.status) for row in rows]
            after = rows[-1].series.last_arrival_at, rows[-1].series.uid
    return found


TEXTS = st.sampled_from(
    ["", "", "山田", "山田太郎", "yamada", "TAROU yamada", "やまだ", "muller", "JÖRG", "길동", "люкcem", "%", "_",
     "p-12", "acc/3", "thorax ap", "axial", "100%", "5.0 yamada", "zzz"]
)  # fmt: skip
TIMES = st.none() | st.integers(-1, 31).map(lambda hour: MONDAY + timedelta(hours=hour))
WANTED = st.builds(
    Wanted,
    text=TEXTS,
    patients=st.booleans(),
    modality=st.sampled_from(["", "", *MODALITIES, "PT"]),
    calling_aet=st.sampled_from(["", "", "CT1", "MR_1", "MR%1"]),
    status=st.sampled_from(["", "", *series_status.NAMES]),
    since=TIMES,
    until=TIMES,
    made=st.sampled_from(["", "", "derived", "outdated"]),
    study_uid=st.sampled_from(["", "", "", "1.2.826.4"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=WANTED, size=st.integers(1, 70))
def test_pages_together_are_what_going_through_everything_finds(
    database: Database, known: list[Known], wanted: Wanted, size: int
) -> None:
    expected = sorted((each for each in known if fits(each, wanted)), key=lambda each: each.key, reverse=True)
    assert paged(database, wanted, size) == [(each.series.uid, each.instances, each.status) for each in expected]


def test_every_status_occurs_and_each_series_has_one(database: Database, known: list[Known]) -> None:
    of_each = {name: {row[0] for row in paged(database, Wanted(status=name), 9)} for name in series_status.NAMES}
    assert all(of_each.values())
    assert sum(map(len, of_each.values())) == len(known)


def test_a_uid_finds_the_series_that_it_is_of(database: Database, known: list[Known]) -> None:
    chosen = next(each for each in known if each.instances and each.jobs)
    uid, number = chosen.series.uid, int(chosen.series.uid.rpartition(".")[2])
    of_study = {each.series.uid for each in known if each.study is chosen.study}
    for text in (uid, f"{uid}.0", f"1.2.99.{number}.0", f"  {uid} "):
        assert [row[0] for row in paged(database, Wanted(text=text), 9)] == [uid]
    assert {row[0] for row in paged(database, Wanted(text=chosen.study.uid), 9)} == of_study
    assert paged(database, Wanted(text="1.2.3.4.5.6"), 9) == []


def test_a_beginning_of_a_uid_finds_what_begins_so(database: Database, known: list[Known]) -> None:
    of_study = [f"1.2.826.10.{number}" for number in (30, 31, 32)]
    for text, expected in (
        ("1.2.826.10.3", of_study),
        ("1.2.826.10.", of_study),
        ("1.2.826.10.31*", of_study[1:2]),
        ("1.2.826.10.33", []),
    ):
        assert sorted(row[0] for row in paged(database, Wanted(text=text), 2)) == expected, text
    assert len(paged(database, Wanted(text="1.2.826.1*"), 9)) == 33


def test_digits_and_full_stops_that_are_no_uid_here_are_a_word(database: Database) -> None:
    made = [_one(random.Random(1), 3 * place, []) for place in range(3)]
    uids = [known.series.uid for known in made]
    with database.write() as session:
        for known, number in zip(made, ("2026.01.15.003", "2026.01.15.004", f"{uids[0]}.9"), strict=True):
            known.study.search_text = search_text(number)
            session.add(known.study)
            session.flush()
            session.add(known.series)
    for text, expected in (
        ("2026.01.15.003", uids[:1]),
        (" 2026.01.15.003*", uids[:1]),
        ("26.01.15.00", uids[:2]),
        ("2026.01.15.005", []),
        (uids[0], uids[:1]),
    ):
        assert sorted(row[0] for row in paged(database, Wanted(text=text, patients=True), 1)) == expected, text
    assert paged(database, Wanted(text="2026.01.15.003"), 9) == [], "who may not see patients does not find by numbers"


WRITTEN = {
    "Mueller^Hans": ("Müller", "mueller", "MÜLLER^HANS", "Mu\u0308ller", "Mueller, Hans", "MUEL*"),
    "Müller^Jörg": ("Mueller", "muller", "Joerg Mueller", "jorg", "üll"),
    "Michal^Jan": ("michal", "Michal, Jan"),
    "Łukasiewicz^Żaneta": ("lukasiewicz", "Łukasiewicz", "zaneta"),
    "Sørensen^Søren": ("sorensen", "Soerensen", "SØRENSEN"),
    "Weiß^Ægir": ("weiss", "WEISS aegir", "weiß"),
    "Yamada^Tarou=山田^太郎=やまだ^たろう": (
        "ヤマダ", "ﾔﾏﾀﾞ", "やまだ タロウ", "山田太郎", "山田　太郎", "田^太", "yamada^tar",
        "Yamada, Tarou (山田 太郎, やまだ たろう)", "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "Ёлкин^Пётр": ("елкин", "ЁЛКИН", "петр ёлк"),
    "O'Brien^Pat": ("O’Brien", "o'brien"),
    "Nguyễn^Đức": ("nguyen duc", "Đức"),
}  # fmt: skip


def test_names_are_found_as_people_write_them(database: Database) -> None:
    with database.write() as session:
        for number, name in enumerate(WRITTEN):
            series = _one(random.Random(1), 3 * number, [])
            series.study.patient_name, series.study.search_text, series.study.description = (
                name,
                search_text(name),
                "AP",
            )
            session.add(series.study)
            session.flush()
            session.add(series.series)
    for name, ways in WRITTEN.items():
        for way in ways:
            with database.read() as session:
                found = [row.study.patient_name for row in search(session, Wanted(text=way, patients=True), 99)]
                assert name in found, way
                assert len(found) <= 2, way
                assert search(session, Wanted(text=way), 99) == []
    with database.read() as session:
        assert search(session, Wanted(text="Michael", patients=True), 9) == []


def test_the_words_of_the_filters_are_those_of_the_series_here(database: Database, known: list[Known]) -> None:
    with database.read() as session:
        assert series_search.modalities(session) == sorted({each.series.modality for each in known})
        assert series_search.senders(session) == sorted({each.series.calling_aet for each in known} - {""})
