"""Retention: rows outlive their bytes, and say so."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STORED = ("instance", "instance_version", "output")


def upgrade() -> None:
    for table in STORED:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("purged_at", sa.DateTime(), nullable=True))
            batch_op.add_column(sa.Column("fault", sa.Text(), nullable=False, server_default=""))
    for table in STORED[1:]:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(batch_op.f(f"ix_{table}_container"), ["container"], unique=False)
    with op.batch_alter_table("instance_version", schema=None) as batch_op:
        batch_op.add_column(sa.Column("settled_at", sa.DateTime(), nullable=True))
    with op.batch_alter_table("container", schema=None) as batch_op:
        batch_op.add_column(sa.Column("removed_at", sa.DateTime(), nullable=True))
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kept_by", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("purged_at", sa.DateTime(), nullable=True))
        batch_op.create_index("ix_series_retention", ["purged_at", "last_arrival_at"], unique=False)
