import pytest

from dicomnode.receive.pdu import PduType
from dicomnode.receive.states import ARROWS, Action, Event, State, event_of

ALIVE = [state for state in State if state is not State.IDLE]


def test_every_state_knows_what_to_do_about_every_event() -> None:
    assert set(ARROWS) == {(state, event) for state in ALIVE for event in Event}


def test_nothing_leads_back_into_an_association() -> None:
    into = [state for (state, _), arrow in ARROWS.items() if arrow.to is State.ESTABLISHED and state is not arrow.to]
    assert into == [State.AWAITING_REQUEST]


@pytest.mark.parametrize("state", ALIVE)
@pytest.mark.parametrize("event", [Event.CLOSED, Event.TIME_IS_UP, Event.TOLD_TO_STOP])
def test_what_ends_a_connection_ends_it(state: State, event: Event) -> None:
    assert ARROWS[state, event].to in (State.IDLE, State.AWAITING_CLOSE)


def test_data_is_taken_in_one_state_only() -> None:
    assert [key for key, arrow in ARROWS.items() if arrow.action is Action.TAKE] == [(State.ESTABLISHED, Event.DATA)]


def test_every_arrow_says_why() -> None:
    assert all(arrow.why for arrow in ARROWS.values())


@pytest.mark.parametrize("number", range(256))
def test_every_first_byte_is_an_event(number: int) -> None:
    assert (event_of(number) is Event.UNKNOWN_PDU) == (number not in list(PduType))
