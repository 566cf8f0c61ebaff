"""Key Object Selection documents as manifests."""

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, KeyObjectSelectionDocumentStorage

from dicomnode.complete.manifest import manifest_of


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
