"""Key Object Selection documents as manifests."""

import pytest
from pydicom import DataElement, Dataset, config
from pydicom.uid import CTImageStorage, KeyObjectSelectionDocumentStorage

from dicomnode.complete.manifest import listed_in, manifest_of


def item(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def key_objects(title: str = "113030") -> Dataset:
    def series(uid: str, *sop_uids: str) -> Dataset:
        references = [item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=sop) for sop in sop_uids]
        return item(SeriesInstanceUID=uid, ReferencedSOPSequence=references)

    studies = [item(StudyInstanceUID="1.1", ReferencedSeriesSequence=[series("1.2", "1.2.1", "1.2.2")])]
    studies.append(
        item(StudyInstanceUID="1.9", ReferencedSeriesSequence=[series("1.3", "1.3.1"), series("1.2", "1.2.3")])
    )
    return item(
        SOPClassUID=KeyObjectSelectionDocumentStorage,
        ConceptNameCodeSequence=[item(CodeValue=title, CodingSchemeDesignator="DCM", CodeMeaning="title")],
        CurrentRequestedProcedureEvidenceSequence=studies,
    )


@pytest.mark.parametrize("title", ["113030", "113032", "113034"])
def test_a_complete_document_lists_instances_by_series(title):
    assert manifest_of(key_objects(title)) == {"1.2": {"1.2.1", "1.2.2", "1.2.3"}, "1.3": {"1.3.1"}}


def test_a_selection_of_interest_proves_nothing():
    assert manifest_of(key_objects("113000")) is None


def test_other_objects_and_broken_documents_prove_nothing():
    assert manifest_of(item(SOPClassUID=CTImageStorage)) is None
    assert manifest_of(Dataset()) is None
    empty = key_objects()
    del empty.CurrentRequestedProcedureEvidenceSequence
    assert manifest_of(empty) is None
    untitled = key_objects()
    untitled.ConceptNameCodeSequence = []
    assert manifest_of(untitled) is None
    partly = key_objects()
    del partly.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID
    assert manifest_of(partly) == {"1.2": {"1.2.3"}, "1.3": {"1.3.1"}}


@pytest.mark.parametrize("named", ["1.2\0003", "not a uid", "1." + "2" * 98, "1..2", "1.2\ud800"])
def test_what_is_no_uid_is_not_listed(named: str) -> None:
    """No instance and no series is stored under such a name (PS3.5 9.1), and not every database holds it."""
    document = key_objects()
    first, second = document.CurrentRequestedProcedureEvidenceSequence
    put(first.ReferencedSeriesSequence[0].ReferencedSOPSequence[0], "ReferencedSOPInstanceUID", named)
    put(second.ReferencedSeriesSequence[0], "SeriesInstanceUID", named)
    assert listed_in(document) == {"1.2": {"1.2.2", "1.2.3"}}


def put(dataset: Dataset, keyword: str, value: str) -> None:
    """As it comes out of a file, where nobody has looked at it."""
    dataset[keyword] = DataElement(keyword, "UI", value, validation_mode=config.IGNORE)
