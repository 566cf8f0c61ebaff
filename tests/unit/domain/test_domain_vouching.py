"""What is said of an instance: nothing is promised on hope, and whatever is said has its reason."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.vouching import Fail, FailureReason, Forwarded, Held, Keep, Onward, Wait, judge, too_late

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
UNDECIDED = {Onward.OPEN, Onward.SENT}

forwarded = st.builds(Forwarded, st.sampled_from(["pacs", "archive", "cloud"]), st.sampled_from(Onward), st.just("why"))
held = st.builds(
    Held,
    st.sampled_from([CT, MR]),
    st.sampled_from(["", "", "", "purged", "missing", "damaged"]),
    st.booleans(),
    st.lists(forwarded, max_size=4).map(tuple),
)


@given(held)
def test_a_promise_needs_everything(instance: Held) -> None:
    onward = {each.onward for each in instance.forwarded}
    sound = not instance.gone and not instance.contested and instance.sop_class_uid == CT
    opinion = judge(CT, instance, arriving=False)
    assert isinstance(opinion, Keep) == (sound and onward <= {Onward.KEPT, Onward.TAKEN})
    assert isinstance(opinion, Wait) == (sound and Onward.LOST not in onward and bool(onward & UNDECIDED))
    if isinstance(opinion, Keep):
        assert opinion.here == (onward != {Onward.KEPT}), "somebody has to keep it"


@given(held)
def test_every_refusal_has_the_reason_of_the_standard(instance: Held) -> None:
    opinion = judge(CT, instance, arriving=False)
    if not isinstance(opinion, Fail):
        return
    assert opinion.words
    if instance.gone in ("purged", "missing"):
        assert opinion.reason == 0x0112
    elif not instance.gone and instance.sop_class_uid != CT:
        assert opinion.reason == 0x0119
    else:
        assert opinion.reason == 0x0110


@given(held, st.integers(0, 3), st.sampled_from(Onward))
def test_a_destination_decides_for_itself_alone(instance: Held, which: int, becomes: Onward) -> None:
    """One destination more that keeps the instance makes nothing worse; one that lost it decides."""
    if which >= len(instance.forwarded):
        return
    changed = list(instance.forwarded)
    before = judge(CT, instance, arriving=False)
    changed[which] = Forwarded(changed[which].destination, becomes, "why")
    after = judge(CT, replace(instance, forwarded=tuple(changed)), arriving=False)
    if becomes is Onward.LOST:
        assert isinstance(after, Fail)
    if becomes is Onward.KEPT:
        assert not (isinstance(before, Keep) and not isinstance(after, Keep))
        assert not (isinstance(before, Wait) and isinstance(after, Fail))


@pytest.mark.parametrize(("arriving", "said"), [(True, Wait), (False, Fail)])
def test_what_is_not_in_the_index_may_be_on_its_way_into_it(arriving: bool, said: type[Wait | Fail]) -> None:
    opinion = judge(CT, None, arriving=arriving)
    assert isinstance(opinion, said)
    if isinstance(opinion, Fail):
        assert opinion.reason is FailureReason.NO_SUCH_INSTANCE


@given(st.dictionaries(st.sampled_from(["1", "2", "3", "4"]), held))
def test_when_time_is_up_all_is_decided_and_nothing_more_is_promised(instances: dict[str, Held]) -> None:
    before = {uid: judge(CT, instance, arriving=False) for uid, instance in instances.items()}
    after = too_late(before)
    assert after.keys() == before.keys()
    for uid, opinion in after.items():
        if isinstance(before[uid], Wait):
            assert isinstance(opinion, Fail)
            assert opinion.reason is FailureReason.PROCESSING_FAILURE
        else:
            assert opinion == before[uid]
