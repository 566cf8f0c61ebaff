"""The drift watch."""

import sqlalchemy as sa
from alembic import op

IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drift_state",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("kernel", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("mean", sa.Float(), nullable=False),
        sa.Column("squares", sa.Float(), nullable=False),
        sa.Column("average", sa.Float(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_state")),
        sa.UniqueConstraint(
            "scanner",
            "kernel",
            "protocol",
            "pipeline",
            "quantity",
            name=op.f("uq_drift_state_scanner_kernel_protocol_pipeline_quantity"),
        ),
    )
    op.create_table(
        "input_statistic",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("enhancement_id", IDENTITY, nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("kernel", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("sigma", sa.Float(), nullable=True),
        sa.Column("frequency", sa.Float(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["enhancement_id"], ["enhancement.id"], name=op.f("fk_input_statistic_enhancement_id_enhancement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_input_statistic")),
    )
    with op.batch_alter_table("input_statistic", schema=None) as batch_op:
        batch_op.create_index("ix_input_statistic_group", ["scanner", "kernel", "protocol", "pipeline"], unique=False)
