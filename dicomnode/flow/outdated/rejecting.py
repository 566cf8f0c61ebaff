"""outdated -> deliver: destinations that have an outdated derived series, and want to hear of it, are told."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset
from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement, Outdating, Output, Study
from dicomnode.db.repositories import enhancements, outdatings
from dicomnode.db.repositories import series as series_rows
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.derive.rejection_note import (
    SOP_CLASS,
    TRANSFER_SYNTAX,
    RejectedSeries,
    RejectionNote,
    rejection_note,
)
from dicomnode.domain.instance import Location
from dicomnode.domain.rejection import Ground
from dicomnode.domain.site import Site
from dicomnode.flow.context import Flow
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.reading import read_header
from dicomnode.store.staged import write_container

NOTES = "notes"
"""Folder of the rejection notes under the store's root, a container each."""

RULE = "destination setting rejection_notes"
"""What a note's delivery names as its rule."""

_AT_ONCE = 20
_CLAIM_SECONDS = 60.0
"""How long one node looks after an outdated series before another one may: the note is written meanwhile."""


@dataclass(frozen=True)
class _Case:
    """An outdated derived series that somebody is to be told of."""

    claimed: Outdating
    work: Enhancement
    study: Study
    series_uid: str
    outputs: list[Output]
    destinations: list[str]
    at: datetime


def note_outdated(flow: Flow) -> bool:
    """See to the rejection notes that are due. Returns whether there may be more.

    A note is written once, by whichever node is first; what it is called follows from the work and the title. Raises
    StoreError and database errors; it is tried again after a minute then.
    """
    with flow.database.read() as session:
        found = outdatings.due(session, _AT_ONCE)
    for enhancement_id in found:
        with flow.database.write() as session:
            case = _case(flow, session, enhancement_id)
        if case is not None:
            _note(flow, case)
    return len(found) == _AT_ONCE


def _case(flow: Flow, session: Session, enhancement_id: int) -> _Case | None:
    claimed = outdatings.claim(session, enhancement_id, _CLAIM_SECONDS)
    if claimed is None:
        return None
    _, site = flow.site.get(session)
    told = _to_be_told(session, site, enhancement_id)
    work = enhancements.find(session, enhancement_id)
    derived = enhancements.derived_series(session, enhancement_id)
    if not told or work is None or derived is None:
        outdatings.decide(session, claimed, claimed.note_uid)
        return None
    series = series_rows.find(session, work.series_uid)
    assert series is not None
    study = session.get_one(Study, series.study_uid)
    outputs = list(enhancements.outputs(session, enhancement_id))
    case = _Case(claimed, work, study, derived.uid, outputs, told, database_now(session))
    if (written := outdatings.note(session, enhancement_id)) is None:
        return case
    if outdatings.decide(session, claimed, written.sop_uid) and not written.gone:
        _send(flow, session, case, written.sop_uid, Location(written.container, written.offset, written.length))
    return None


def _to_be_told(session: Session, site: Site, enhancement_id: int) -> list[str]:
    """Destinations that have any of it and want to hear of it, except those that rejected all of it themselves."""
    takers, know = outdatings.takers(session, enhancement_id), outdatings.rejecters(session, enhancement_id)
    wanting = (each for each in site.destinations if each.rejection_notes and each.ae_title.strip() not in know)
    return sorted(takers.intersection(each.name for each in wanting))


def _note(flow: Flow, case: _Case) -> None:
    instances = [(output.sop_class_uid, output.sop_uid) for output in case.outputs]
    rejected = RejectedSeries(case.work.key, case.series_uid, _header(flow, case), instances)
    ground = Ground(case.claimed.code, case.claimed.reason)
    note = rejection_note(rejected, ground, flow.settings.dicom.ae_title, case.at)
    for stale in (flow.root / NOTES).glob(f"{case.work.id}-*.tar"):
        stale.unlink(missing_ok=True)  # of an attempt that was killed before it was in SQL
    name = f"{NOTES}/{case.work.id}-{secrets.token_hex(4)}.tar"
    (location,) = write_container(flow.root, name, [note.file])
    kept = False
    try:
        with flow.database.write() as session:
            kept = _plan(flow, session, case, note, location)
    finally:
        if not kept:
            (flow.root / name).unlink(missing_ok=True)


def _plan(flow: Flow, session: Session, case: _Case, note: RejectionNote, location: Location) -> bool:
    """Keep the note like an output, and plan its deliveries. False: another node was faster."""
    if not outdatings.decide(session, case.claimed, note.sop_uid):
        return False
    session.add(_output(case, note, location))
    _send(flow, session, case, note.sop_uid, location)
    return True


def _send(flow: Flow, session: Session, case: _Case, sop_uid: str, location: Location) -> None:
    """Plan the note's delivery to those that do not get it yet."""
    work = case.work
    subject = Subject(work.series_uid, case.study.uid, work.id, is_rejection=True)
    sendable = Sendable(sop_uid, SOP_CLASS, TRANSFER_SYNTAX, location)
    told = [
        destination
        for destination in case.destinations
        if plan_delivery(session, destination, subject, [sendable], rule=RULE, node=flow.node, now=case.at)
    ]
    if not told:
        return
    record(
        session,
        "rejection.noted",
        f"{', '.join(told)} will be told that the derived series is outdated: {case.claimed.reason}",
        node=flow.node,
        study_uid=case.study.uid,
        series_uid=work.series_uid,
        subject=f"enhancement:{work.id}",
        detail={"note": sop_uid, "code": case.claimed.code, "destinations": told},
    )


def _output(case: _Case, note: RejectionNote, location: Location) -> Output:
    """Of no single source: `enhancements.outputs` leaves it out."""
    return Output(
        enhancement_id=case.work.id,
        source_sop_uid="",
        ordinal=int(case.claimed.code),
        sop_uid=note.sop_uid,
        sop_class_uid=SOP_CLASS,
        transfer_syntax_uid=TRANSFER_SYNTAX,
        container=location.container,
        offset=location.offset,
        length=location.length,
        sha256=hashlib.sha256(note.file).hexdigest(),
        generation=case.work.generation,
    )


def _header(flow: Flow, case: _Case) -> Dataset:
    """Of an instance that is still stored; else what SQL knows of the patient, which retention leaves."""
    for output in case.outputs:
        if not output.gone:
            try:
                return read_header(flow.root, Location(output.container, output.offset, output.length))
            except (UnreadableHeader, OSError, EOFError):
                continue
    header, study = Dataset(), case.study
    header.PatientName, header.PatientID = study.patient_name, study.patient_id
    header.StudyInstanceUID, header.StudyDescription = study.uid, study.description
    header.StudyDate, header.AccessionNumber = study.study_date, study.accession_number
    return header
