"""Rows of a series and its study, as its first instance tells of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dicomnode.domain.instance import Receipt
from dicomnode.domain.search_text import search_text
from dicomnode.store.index_fields import Fields


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A received instance: what its receipt and its header say."""

    receipt: Receipt
    fields: Fields

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.receipt.received_at)


def study_of(first: Newcomer) -> Mapping[str, Any]:
    """Columns of `Study`."""
    fields = first.fields
    return {
        "uid": first.receipt.study_uid,
        "patient_id": fields.patient_id,
        "patient_name": fields.patient_name,
        "accession_number": fields.accession_number,
        "study_date": fields.study_date,
        "description": fields.study_description,
        "first_seen_at": first.at,
        "search_text": search_text(
            fields.patient_name, fields.patient_id, fields.accession_number, fields.study_description
        ),
    }


def series_of(first: Newcomer) -> Mapping[str, Any]:
    """Columns of `Series`, but for those that begin empty."""
    fields, receipt = first.fields, first.receipt
    return {
        "uid": receipt.series_uid,
        "study_uid": receipt.study_uid,
        "modality": fields.modality,
        "series_number": fields.series_number,
        "description": fields.series_description,
        "calling_aet": receipt.calling_aet,
        "called_aet": receipt.called_aet,
        "state": "receiving",
        "generation": 0,
        "last_arrival_at": first.at,
        "derived_by_node": fields.derived_by_node,
        "search_text": search_text(fields.series_description),
    }
