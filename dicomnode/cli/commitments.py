"""`commitments list|show|report`."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from dicomnode.audit.events import record
from dicomnode.cli.common import (
    ConfigOption,
    JsonOption,
    LimitOption,
    actor,
    fail,
    flow_of,
    plain,
    print_json,
    print_table,
    require_state,
)
from dicomnode.db.models import Commitment, CommitmentReport, CommitmentRequest
from dicomnode.db.repositories import commitment_requests, commitments
from dicomnode.domain.states import COMMITMENT, REQUEST

app = typer.Typer(help="Who was asked to keep what for good, and what he said.", no_args_is_help=True)
Uid = Annotated[str, typer.Argument(help="Transaction UID.", metavar="TRANSACTION_UID")]
STATES = REQUEST.states | COMMITMENT.states
From = Annotated[str, typer.Option("--from", help="AE title of the modality that asked.")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    limit: LimitOption = 50,
    direction: Annotated[
        Literal["received", "sent", "both"], typer.Option(help="What this node was asked, or what it asked.")
    ] = "both",
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(sorted(STATES))}.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Transactions, the newest first."""
    require_state(state, STATES, "transaction")
    flow = flow_of(config)
    with flow.database.read() as session:
        rows = [_received(row) for row in commitment_requests.listing(session, limit, state)]
        rows = rows if direction != "sent" else []
        if direction != "received":
            rows += [_sent(row) for row in commitments.listing(session, limit, state)]
    rows.sort(key=lambda row: row["asked_at"], reverse=True)
    columns = ("asked_at", "direction", "peer", "state", "instances", "failed", "due_at", "reason", "transaction_uid")
    print_table(rows[:limit], as_json, "nobody was asked to keep anything", columns)


@app.command("show")
def show(uid: Uid, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """One transaction: what was said of every instance, and each report that came."""
    flow = flow_of(config)
    with flow.database.read() as session:
        found = [{**_received(row), "items": _items(row)} for row in commitment_requests.find(session, uid)]
        if (asked := commitments.find(session, uid)) is not None:
            found.append({**_sent(asked), "items": [{"sop_uid": sop_uid} for sop_uid in asked.sop_uids]})
        reports = [_report(row) for row in commitments.reports(session, uid)]
    if not found and not reports:
        fail(f"there is no transaction {uid}")
    if as_json:
        print_json({"transactions": found, "reports": reports})
        return
    for document in found:
        items = document.pop("items")
        for name, value in plain(document).items():
            print(f"{name.replace('_', ' '):>16}  {'' if value is None else value}")
        print()
        print_table(items, False, "it names no instances")
    if reports:
        print("\nreports that came")
        print_table(reports, False, "", ("received_at", "calling_aet", "committed", "failed", "applied_at"))


@app.command("report")
def report(uid: Uid, config: ConfigOption = None, sender: From = "", as_json: JsonOption = False) -> None:
    """Tell the modality once more, or after it was given up, what became of its request: the same answer."""
    flow = flow_of(config)
    with flow.database.write() as session:
        rows = _one_modality(commitment_requests.find(session, uid, sender), uid)
        opened = [row for row in rows if commitment_requests.reopen(session, row)]
        if not opened:
            fail(f"it is {rows[0].state}: the modality is told as soon as it can be; nothing is to be done again")
        record(
            session,
            "commitment.reopened",
            f"{actor()} lets {rows[0].calling_aet} be told again",
            node=flow.node,
            actor=actor(),
            subject=f"commitment:{uid}",
        )
    print_json({"transaction_uid": uid, "state": "judged"}) if as_json else print("it is told within a second or two")


def _one_modality(rows: Sequence[CommitmentRequest], uid: str) -> Sequence[CommitmentRequest]:
    if not rows:
        fail(f"no modality asked for anything as transaction {uid}")
    if len(titles := sorted({row.calling_aet for row in rows})) > 1:
        fail(f"several modalities used this UID: say which with --from ({', '.join(titles)})")
    return rows


def _received(row: CommitmentRequest) -> dict[str, Any]:
    return {
        "direction": "received",
        "transaction_uid": row.transaction_uid,
        "peer": row.calling_aet,
        "state": row.state,
        "instances": len(row.instances),
        "failed": None if row.state == "waiting" else len(row.failures),
        "attempts": row.attempts,
        "reason": row.reason,
        "asked_at": row.received_at,
        "due_at": row.due_at,
        "finished_at": row.finished_at,
    }


def _sent(row: Commitment) -> dict[str, Any]:
    return {
        "direction": "sent",
        "transaction_uid": row.transaction_uid,
        "peer": row.destination,
        "state": row.state,
        "instances": len(row.sop_uids),
        "failed": None,
        "delivery_id": row.delivery_id,
        "reason": row.reason,
        "asked_at": row.asked_at,
        "due_at": row.due_at,
        "finished_at": None,
    }


def _items(row: CommitmentRequest) -> list[dict[str, Any]]:
    found = []
    for sop_class_uid, sop_uid in row.instances:
        reason, why = row.failures.get(sop_uid, (None, ""))
        answer = "" if row.state == "waiting" else "kept" if reason is None else f"{reason:04X}"
        found.append({"sop_uid": sop_uid, "sop_class_uid": sop_class_uid, "answer": answer, "why": why})
    return found


def _report(row: CommitmentReport) -> dict[str, Any]:
    return {
        "calling_aet": row.calling_aet,
        "committed": len(row.committed),
        "failed": {uid: f"{reason:04X}" for uid, reason in row.failed},
        "received_at": row.received_at,
        "applied_at": row.applied_at,
    }
