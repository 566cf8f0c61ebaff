"""A past of the bench's own: very many series, their facts those of real files, varied."""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import insert, text

from dicomnode.complete.facts import Accumulator
from dicomnode.db.database import Database
from dicomnode.db.models import Series, Study
from dicomnode.domain.site import Site

FILES = ("CT_small.dcm", "CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "liver_1frame.dcm", "examples_ybr_color.dcm")
"""Of pydicom's own files: CT twice, since rules are mostly about it."""
VARIANTS = 24
STEP = 500
_UID = "2.25.999999999999999999999999999999999999"
"""Stands in the templates where every series has its own."""

_INSERT = (
    "INSERT INTO series_facts (series_uid, generation, completed_at, reason, instance_count, facts, circumstances) "
    "VALUES (:series_uid, 1, :completed_at, 'bench', 1, {document}, {around})"
)


def sites() -> tuple[Site, Site]:
    """The rules in force, and the document that is tried: a dozen rules of which three differ and one is new."""
    destinations = [{"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}]
    rules = [_rule(number) for number in range(12)]
    changed = [dict(rule) for rule in rules]
    for number in (0, 4, 7):
        changed[number] = _rule(number, thickest=3.0)
    changed.append({**_rule(0, thickest=0.8), "name": "another", "state": "shadow"})
    documents = ({"destinations": destinations, "rules": each} for each in (rules, changed))
    before, after = (Site.model_validate(document) for document in documents)
    return before, after


def _rule(number: int, thickest: float = 2.0) -> dict[str, Any]:
    """Keywords, a private element, one in a sequence, computed facts, some absent; the pipelines are asked as well."""
    modality = ("CT", "MR", "NM", "US")[number % 4]
    tests: list[dict[str, Any]] = [
        {"attribute": "Modality", "equals": modality},
        {"attribute": "SliceThickness", "le": thickest + number % 3},
        {"fact": "instance_count", "ge": 10 + number},
        {"not": {"attribute": "ImageType", "contains": "LOCALIZER"}},
        {"any": [
            {"attribute": "SeriesDescription", "contains": f"protocol {number}"},
            {"attribute": "0019,1002", "private_creator": "GEMS_ACQU_01", "exists": True},
            {"attribute": "RequestAttributesSequence.ScheduledProcedureStepID", "starts_with": "A"},
            {"attribute": "KVP", "between": [80, 140], "every": True},
        ]},
    ]  # fmt: skip
    pipeline = "ct-denoise" if modality == "CT" else "passthrough"
    return {"name": f"rule {number}", "state": "live", "when": {"all": tests}, "enhance": {"pipeline": pipeline},
            "deliver_to": ["pacs"]}  # fmt: skip


def fill(database: Database, count: int, days: float) -> int:
    """So many series, completed evenly over the last days. Returns the mean size of their facts, in bytes."""
    templates = _templates()
    written, now = 0, datetime.now(UTC)
    document = ":facts" if database.is_sqlite else "CAST(:facts AS jsonb)"
    statement = text(_INSERT.format(document=document, around=document.replace("facts", "circumstances")))
    around = json.dumps({"derived_by_node": False, "gone": {}, "rejected": {}})
    _add_study(database, now)
    for start in range(0, count, STEP):
        rows = []
        for number in range(start, min(start + STEP, count)):
            uid = f"2.25.{10**38 + number}"
            facts = templates[number % len(templates)].replace(_UID, uid)
            at = now - timedelta(days=days * (count - number - 0.5) / count)
            written += len(facts)
            rows.append({"series_uid": uid, "completed_at": at.replace(tzinfo=None).isoformat(" ", "microseconds"),
                         "facts": facts, "circumstances": around})  # fmt: skip
        with database.write() as session:
            session.execute(insert(Series), [_series(row["series_uid"], now) for row in rows])
            session.connection().execute(statement, rows)
    if not database.is_sqlite:  # as its autovacuum does in time
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return written // max(1, count)


def _add_study(database: Database, now: datetime) -> None:
    about = dict.fromkeys(("patient_id", "patient_name", "accession_number", "study_date", "description"), "")
    with database.write() as session:
        session.add(Study(uid="2.25.2", first_seen_at=now, **about))


def _series(uid: str, now: datetime) -> dict[str, Any]:
    told = dict.fromkeys(("modality", "series_number", "description", "calling_aet", "called_aet"), "")
    return {"uid": uid, "study_uid": "2.25.2", "state": "complete", "generation": 1, "last_arrival_at": now, **told}


def _templates() -> Sequence[str]:
    """Facts as stored text, with a placeholder for the Series Instance UID."""
    chance = random.Random(1)  # noqa: S311 - figures are to be the same every time
    return [json.dumps(facts) for name in FILES for facts in _variants(name, chance)]


def _variants(name: str, chance: random.Random) -> Iterator[dict[str, Any]]:
    header = dcmread(str(get_testdata_file(name, download=False)), stop_before_pixels=True)
    for number in range(VARIANTS):
        accumulator = Accumulator()
        header.SeriesInstanceUID = _UID
        header.SeriesDescription = f"protocol {number % 16} series"
        header.SliceThickness = chance.choice(["0.75", "1.0", "1.5", "2.5", "3.0", "5.0"])
        header.KVP = chance.choice(["80", "100", "120", "140"])
        for index in range(chance.choice([12, 40, 80, 120])):
            header.SOPInstanceUID = f"{_UID[:-6]}{index:06d}"
            header.InstanceNumber = index + 1
            header.ImagePositionPatient = [-150.5, -180.25, index * 2.5]
            header.SliceLocation = str(index * 2.5)
            accumulator.add(header, calling_aet="CT1", called_aet="DICOMNODE", transfer_syntax="1.2.840.10008.1.2.1")
        yield accumulator.facts().to_json()
