"""Requests for storage commitment in SQL: kept once, one node's at a time, answered again when asked again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import pytest
from sqlalchemy import update

from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.models import CommitmentRequest
from dicomnode.db.repositories import commitment_requests as requests
from dicomnode.db.repositories.commitment_requests import Asked

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
ASKED = Asked("1.2.3", "CT1", "DICOMNODE", "127.0.0.1", "a-1", (("1.2", "1.1"), ("1.2", "1.2")), AT)
DUPLICATE = 0x0131


def ask(database: Database, asked: Asked = ASKED) -> tuple[CommitmentRequest, str]:
    with database.write() as session:
        return requests.ask(session, asked, DUPLICATE)


def claim(database: Database, id: int = 1, seconds: float = 60, node: str = "") -> CommitmentRequest | None:
    """By a node of its own each time, unless `node` says which."""
    with database.write() as session:
        return requests.claim(session, id, node or token_hex(4), seconds)


def move(database: Database, row: CommitmentRequest, **values: object) -> bool:
    with database.write() as session:
        return requests.move(session, row, **values)


def settle(database: Database, state: str) -> None:
    """As if it had been judged and reported, or given up."""
    row = claim(database)
    assert row is not None
    with database.read() as session:
        now = database_now(session)
    assert move(database, row, state="judged", due_at=now, failures={"1.2": [0x0112, "it never came"]})
    row = claim(database)
    assert row is not None
    assert move(database, row, state=state, due_at=None, finished_at=now)


def the_one(database: Database) -> CommitmentRequest:
    with database.read() as session:
        (row,) = requests.listing(session, 10)
    return row


def test_a_request_is_due_at_once_and_one_nodes_for_a_while(database: Database) -> None:
    row, became = ask(database)
    assert (became, row.state, row.ordinal) == ("new", "waiting", 0)
    with database.read() as session:
        assert requests.due(session, "n", "waiting", 10) == [("CT1", row.id)]
    assert claim(database) is not None
    assert claim(database) is None
    with database.read() as session:
        assert requests.due(session, "n", "waiting", 10) == []


def test_what_a_node_left_undone_it_takes_up_at_once(database: Database) -> None:
    """After a kill -9, say: nobody else does before the claim has lapsed."""
    ask(database)
    first = claim(database, node="left")
    assert first is not None
    with database.read() as session:
        assert requests.due(session, "left", "waiting", 10) == [("CT1", 1)]
        assert requests.due(session, "right", "waiting", 10) == []
    again = claim(database, node="left")
    assert again is not None
    assert not move(database, first, state="judged")
    assert move(database, again, due_at=again.due_at)
    assert claim(database, node="left") is None, "what it has finished with waits for its time"


def test_of_many_nodes_one_gets_it(database: Database) -> None:
    ask(database)
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: claim(database), range(8)))
    assert sum(row is not None for row in claimed) == 1


def test_who_lost_the_claim_changes_nothing(database: Database) -> None:
    ask(database)
    slow = claim(database, seconds=-1)  # it has lapsed when it is given
    quick = claim(database)
    assert slow is not None
    assert quick is not None
    assert not move(database, slow, state="judged", failures={"1.1": [0x0110, ""]})
    assert move(database, quick, state="judged")
    assert the_one(database).failures == {}
    assert not move(database, quick, state="judged"), "a judgement is made once"


def test_a_claim_can_be_held_for_longer(database: Database) -> None:
    ask(database)
    first = claim(database, seconds=1)
    assert first is not None
    with database.write() as session:
        second = requests.renew(session, first, 60)
        assert requests.renew(session, first, 60) is None
    assert second is not None
    assert second.due_at is not None
    assert first.due_at is not None
    assert second.due_at > first.due_at + timedelta(seconds=50)
    assert move(database, second, state="judged")


def test_a_note_that_is_read_twice_is_one_request(database: Database) -> None:
    ask(database)
    assert ask(database)[1] == "known"
    assert ask(database, replace(ASKED, received_at=AT + timedelta(hours=1)))[1] == "known", "no answer was given yet"
    settle(database, "reported")
    assert ask(database)[1] == "known"
    assert the_one(database).state == "reported"


@pytest.mark.parametrize("state", ["reported", "abandoned"])
def test_who_asks_again_gets_the_same_answer_again(database: Database, state: str) -> None:
    ask(database)
    settle(database, state)
    later = replace(ASKED, association="a-2", received_at=AT + timedelta(hours=1), instances=ASKED.instances[::-1])
    row, became = ask(database, later)
    assert (became, row.state, row.failures) == ("again", "judged", {"1.2": [0x0112, "it never came"]})
    assert (row.attempts, row.finished_at, row.association) == (0, None, "a-2")
    assert claim(database) is not None
    assert ask(database, later)[1] == "known"


def test_the_same_uid_for_other_instances_is_refused_as_a_whole(database: Database) -> None:
    ask(database)
    other = replace(ASKED, instances=(("1.2", "1.1"), ("1.2", "1.9")), received_at=AT + timedelta(hours=1))
    row, became = ask(database, other)
    assert (became, row.state, row.ordinal) == ("refused", "judged", 1)
    assert {uid: reason for uid, (reason, _) in row.failures.items()} == {"1.1": DUPLICATE, "1.9": DUPLICATE}
    assert ask(database, other)[1] == "known"
    assert ask(database)[1] == "known"
    elsewhere, became = ask(database, replace(other, calling_aet="CT2"))
    assert (became, elsewhere.ordinal) == ("new", 0), "a Transaction UID is one modality's own matter"


def test_what_else_a_modality_is_to_be_told_waits_while_it_is_away(database: Database) -> None:
    for number, title in enumerate(("CT1", "CT1", "CT2")):
        ask(database, replace(ASKED, transaction_uid=f"1.2.{number}", calling_aet=title))
    with database.write() as session:
        session.execute(update(CommitmentRequest).where(CommitmentRequest.id != 2).values(state="judged"))
        requests.postpone_peer(session, "CT1", database_now(session) + timedelta(minutes=5))
    with database.read() as session:
        assert requests.due(session, "n", "waiting", 10) == [("CT1", 2)], "what is to be judged goes on"
        assert requests.due(session, "n", "judged", 10) == [("CT2", 3)], "and what another modality is to be told"
        assert requests.due(session, "n", "judged", 10, {"CT2"}) == []
