"""The scripted PACS itself: it does what it was told, as the node's own SCU sees it."""

from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from support.scriptedpacs import Act, Refusal, ScriptedPacs

from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, Outcome
from dicomnode.deliver.outgoing import Outgoing
from dicomnode.deliver.scu import echo, open_association

ONE = Outgoing.from_file(Path(str(get_testdata_file("CT_small.dcm", download=False))))
NO_RESPONSE = Timeouts(connect=60.0, acse=60.0, dimse=1.0)


def to(pacs: ScriptedPacs) -> Destination:
    return Destination("pacs", pacs.ae_title, "127.0.0.1", pacs.port)


def test_statuses_in_order_then_always_the_same() -> None:
    with ScriptedPacs() as pacs:
        pacs.script += [0xA700, 0xB000]
        pacs.always = 0xC000
        with open_association(to(pacs), "NODE", [ONE]) as session:
            statuses = [session.send(ONE).status for _ in range(3)]
    assert statuses == pacs.answers() == [0xA700, 0xB000, 0xC000]
    assert pacs.kept == {ONE.sop_instance_uid: 1}


@pytest.mark.parametrize("act", list(Act))
def test_acts_end_the_association_without_a_response(act: Act) -> None:
    with ScriptedPacs() as pacs:
        pacs.script.append(act)
        with open_association(to(pacs), "NODE", [ONE], timeouts=NO_RESPONSE) as session:
            lost = session.send(ONE)
            assert (lost.outcome, lost.status) == (Outcome.TRANSIENT, None)
        assert pacs.kept[ONE.sop_instance_uid] == (act is Act.KEEP_AND_ABORT)
        assert echo(to(pacs), "NODE") == 0


def test_what_is_kept_already_is_a_duplicate() -> None:
    with ScriptedPacs() as pacs, open_association(to(pacs), "NODE", [ONE]) as session:
        pacs.duplicate = 0x0111
        assert [session.send(ONE).status for _ in range(2)] == [0x0000, 0x0111]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal.UNKNOWN_CALLER, FailureKind.CONFIGURATION),
        (Refusal.UNKNOWN_CALLED, FailureKind.CONFIGURATION),
        (Refusal.CONGESTED, FailureKind.REJECTED),
    ],
)
def test_refusals(refusal: Refusal, kind: FailureKind) -> None:
    with ScriptedPacs() as pacs:
        pacs.refusal = refusal
        with pytest.raises(AssociationFailed) as caught:
            echo(to(pacs), "NODE")
        assert caught.value.kind is kind
        pacs.refusal = None
        assert echo(to(pacs), "NODE") == 0
        assert len(pacs.knocks) == 2


def test_it_stops_and_comes_back_on_the_same_port() -> None:
    with ScriptedPacs() as pacs:
        pacs.stop()
        with pytest.raises(AssociationFailed, match="Connection refused"):
            echo(to(pacs), "NODE")
        pacs.start()
        assert echo(to(pacs), "NODE") == 0
