"""Storage commitment both ways, several nodes, and what operators stop."""

import sqlalchemy as sa
from alembic import op

from dicomnode.db.types import Document, Identity

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _deliveries()
    _commitments()
    _head_starts()
    _rejections()
    op.create_table(
        "node",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(), nullable=True),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_node")),
    )
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.add_column(sa.Column("indexed_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("enhancement", sa.Column("rerouted_to", sa.BigInteger(), nullable=True))
    op.create_table(
        "hold",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_hold")),
    )
    op.create_table(
        "outage",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_outage")),
    )


def _deliveries() -> None:
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.add_column(sa.Column("priority", sa.BigInteger(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("node", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("lease_until", sa.DateTime(), nullable=True))
        batch_op.add_column(sa.Column("claim", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("confirm_at", sa.DateTime(), nullable=True))
        batch_op.add_column(sa.Column("confirm_attempts", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("returns", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("confirmation", sa.Text(), nullable=False, server_default=""))
    _where("state = 'pending'", "ix_delivery_next", ["destination", "priority", "not_before", "id"])
    _where("state = 'sending'", "ix_delivery_sending", ["lease_until"])
    _where("confirm_at IS NOT NULL", "ix_delivery_confirm", ["confirm_at"])
    with op.batch_alter_table("delivery_item", schema=None) as batch_op:
        batch_op.add_column(sa.Column("confirmed_at", sa.DateTime(), nullable=True))
        batch_op.add_column(sa.Column("confirmed_by", sa.Text(), nullable=False, server_default=""))
    _where("status >= 45056 AND status <= 49151", "ix_delivery_item_warning", ["delivery_id"], "delivery_item")


def _where(condition: str, name: str, columns: list[str], table: str = "delivery") -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _commitments() -> None:
    op.create_table(
        "commitment",
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sop_uids", Document, nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("fk_commitment_delivery_id_delivery")),
        sa.PrimaryKeyConstraint("transaction_uid", name=op.f("pk_commitment")),
    )
    op.create_index("ix_commitment_delivery_id", "commitment", ["delivery_id"])
    op.create_index("ix_commitment_due_at", "commitment", ["due_at"])
    op.create_table(
        "commitment_report",
        sa.Column("id", Identity, nullable=False),
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.Text(), nullable=False),
        sa.Column("event_type", sa.BigInteger(), nullable=False),
        sa.Column("committed", Document, nullable=False),
        sa.Column("failed", Document, nullable=False),
        sa.Column("association", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("applied_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_report")),
    )
    op.create_index("ix_commitment_report_transaction_uid", "commitment_report", ["transaction_uid"])
    op.create_index("ix_commitment_report_open", "commitment_report", ["applied_at"])
    op.create_table(
        "commitment_request",
        sa.Column("id", Identity, nullable=False),
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("called_aet", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("association", sa.Text(), nullable=False),
        sa.Column("instances", Document, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=False),
        sa.Column("report_until", sa.DateTime(), nullable=True),
        sa.Column("arrived_at", sa.DateTime(), nullable=True),
        sa.Column("failures", Document, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_request")),
        sa.UniqueConstraint(
            "calling_aet",
            "transaction_uid",
            "ordinal",
            name="uq_commitment_request_calling_aet_transaction_uid_ordinal",
        ),
    )
    op.create_index("ix_commitment_request_due", "commitment_request", ["due_at"])
    arriving = sa.text("arrived_at IS NULL")
    op.create_index(
        "ix_commitment_request_arriving",
        "commitment_request",
        ["received_at"],
        sqlite_where=arriving,
        postgresql_where=arriving,
    )
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kept_for", sa.Text(), nullable=False, server_default=""))


def _rejections() -> None:
    op.create_table(
        "rejection",
        sa.Column("id", Identity, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sop_uid", sa.Text(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("calling_aet", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejection")),
        sa.UniqueConstraint("source", "sop_uid", name="uq_rejection_source_sop_uid"),
    )
    op.create_index(op.f("ix_rejection_sop_uid"), "rejection", ["sop_uid"])
    op.create_index(op.f("ix_rejection_series_uid"), "rejection", ["series_uid"])
    op.create_table(
        "outdating",
        sa.Column("enhancement_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("outdated_at", sa.DateTime(), nullable=False),
        sa.Column("note_due_at", sa.DateTime(), nullable=True),
        sa.Column("note_uid", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["enhancement_id"], ["enhancement.id"], name=op.f("fk_outdating_enhancement_id_enhancement")
        ),
        sa.PrimaryKeyConstraint("enhancement_id", name=op.f("pk_outdating")),
    )
    due = sa.text("note_due_at IS NOT NULL")
    op.create_index("ix_outdating_due", "outdating", ["note_due_at"], sqlite_where=due, postgresql_where=due)


def _head_starts() -> None:
    op.create_table(
        "head_start",
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.DateTime(), nullable=False),
        sa.Column("takers", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["series_uid"], ["series.uid"], name=op.f("fk_head_start_series_uid_series")),
        sa.PrimaryKeyConstraint("series_uid", name=op.f("pk_head_start")),
    )
    op.create_table(
        "head_start_tally",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("computed", sa.BigInteger(), nullable=False),
        sa.Column("thrown_away", sa.BigInteger(), nullable=False),
        sa.Column("seconds_saved", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_head_start_tally")),
    )
