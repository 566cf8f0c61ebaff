"""The administrator's house: accounts, the draft and its replays, text to search by, indexes of long lists."""

import sqlalchemy as sa
from alembic import op

from dicomnode.db.types import Document, Identity
from dicomnode.domain.search_text import search_text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_AT_ONCE = 1000


def upgrade() -> None:
    _accounts()
    _site()
    _lists()


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("id", Identity, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded_name", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("roles", Document, nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("locked_until", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("folded_name", name=op.f("uq_account_folded_name")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_account_issuer_subject")),
    )
    op.create_table(
        "web_session",
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("ends_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("names_until", sa.DateTime(), nullable=True),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("browser", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_web_session_account_id_account")),
        sa.PrimaryKeyConstraint("secret_sha256", name=op.f("pk_web_session")),
    )
    op.create_index(op.f("ix_web_session_account_id"), "web_session", ["account_id"])
    op.create_index(op.f("ix_web_session_ends_at"), "web_session", ["ends_at"])
    op.create_table(
        "api_token",
        sa.Column("id", Identity, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("roles", Document, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.Column("ends_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_api_token_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_api_token_secret_sha256")),
    )
    op.create_index(op.f("ix_api_token_account_id"), "api_token", ["account_id"])
    op.create_table(
        "sign_in_attempt",
        sa.Column("state_sha256", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("code_verifier", sa.Text(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("state_sha256", name=op.f("pk_sign_in_attempt")),
    )
    op.create_index("ix_sign_in_attempt_ends", "sign_in_attempt", ["ends_at"])


def _site() -> None:
    with op.batch_alter_table("site_revision", schema=None) as batch_op:
        batch_op.add_column(sa.Column("origin", sa.Text(), nullable=False, server_default="import"))
        batch_op.add_column(sa.Column("replay_id", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("restores", sa.BigInteger(), nullable=True))
    op.create_table(
        "site_draft",
        sa.Column("id", Identity, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("document", Document, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site_draft")),
    )
    op.create_table(
        "replay",
        sa.Column("id", Identity, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("document", Document, nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("result", Document, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay")),
    )
    op.create_index("ix_replay_digest", "replay", ["digest", "base"])
    op.create_table(
        "replay_change",
        sa.Column("id", Identity, nullable=False),
        sa.Column("replay_id", sa.BigInteger(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("before", Document, nullable=False),
        sa.Column("after", Document, nullable=False),
        sa.ForeignKeyConstraint(["replay_id"], ["replay.id"], name=op.f("fk_replay_change_replay_id_replay")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay_change")),
    )
    op.create_index("ix_replay_change_rule", "replay_change", ["replay_id", "rule", "kind", "id"])
    op.create_index("ix_rule_decision_rule", "rule_decision", ["rule", "rule_state", "matched", "id"])
    with op.batch_alter_table("series_facts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("circumstances", Document, nullable=False, server_default="{}"))
    op.create_index("ix_series_facts_completed", "series_facts", ["completed_at", "series_uid", "generation"])


def _lists() -> None:
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.add_column(sa.Column("search_text", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.add_column(sa.Column("search_text", sa.Text(), nullable=False, server_default=""))
    _fill_search_text("study", "patient_name", "patient_id", "accession_number", "description")
    _fill_search_text("series", "description")
    op.create_index("ix_audit_event_kind_at", "audit_event", ["kind", "at"])
    op.create_index("ix_audit_event_actor_at", "audit_event", ["actor", "at"])
    _create_partial("ix_audit_event_outcome_at", "audit_event", ["outcome", "at"], "outcome <> 'success'")
    _create_partial("ix_audit_event_subject", "audit_event", ["subject"], "subject IS NOT NULL")
    op.drop_index(op.f("ix_audit_event_kind"), table_name="audit_event")
    op.create_table(
        "audit_cursor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_cursor")),
    )
    _of_the_queue()
    _of_the_day()


def _of_the_queue() -> None:
    _create_partial("ix_delivery_over", "delivery", ["state", "id"], "state <> 'pending' AND state <> 'sending'")
    op.create_index("ix_delivery_destination", "delivery", ["destination", "id"])


def _of_the_day() -> None:
    """What came, was made and went out since midnight, and what is open, however old."""
    op.create_index("ix_series_arrival", "series", ["last_arrival_at", "uid"])
    op.create_index("ix_series_sender", "series", ["calling_aet", "last_arrival_at"])
    op.create_index("ix_series_modality", "series", ["modality", "last_arrival_at", "uid"])
    op.create_index("ix_enhancement_created", "enhancement", ["created_at"])
    op.create_index("ix_enhancement_pipeline", "enhancement", ["pipeline", "id"])
    _create_partial("ix_enhancement_finished", "enhancement", ["finished_at", "state"], "finished_at IS NOT NULL")
    ended = ["finished_at", "state", "destination", "enhancement_id"]
    _create_partial("ix_delivery_finished", "delivery", ended, "finished_at IS NOT NULL")
    unconfirmed = "state = 'sent' AND confirm_at IS NULL AND confirmation <> ''"
    _create_partial("ix_delivery_unconfirmed", "delivery", ["finished_at"], unconfirmed)
    _create_partial("ix_delivery_failed", "delivery", ["id"], "state = 'failed'")
    _create_partial("ix_commitment_request_abandoned", "commitment_request", ["id"], "state = 'abandoned'")
    _create_partial("ix_instance_version_open", "instance_version", ["id"], "kind = 'conflict' AND settled_at IS NULL")


def _create_partial(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _fill_search_text(name: str, *fields: str) -> None:
    """Folding is nothing that SQL can do; a hospital has hundreds of thousands of studies, not hundreds of millions."""
    connection = op.get_bind()
    table = sa.table(name, *(sa.column(field, sa.Text()) for field in ("uid", *fields, "search_text")))
    last = ""
    while True:
        query = sa.select(*(table.c[field] for field in ("uid", *fields))).where(table.c.uid > last)
        rows = connection.execute(query.order_by(table.c.uid).limit(_AT_ONCE)).all()
        if not rows:
            return
        last = rows[-1].uid
        statement = table.update().where(table.c.uid == sa.bindparam("key")).values(search_text=sa.bindparam("text"))
        connection.execute(statement, [{"key": row.uid, "text": search_text(*row[1:])} for row in rows])
