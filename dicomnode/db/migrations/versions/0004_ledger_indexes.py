"""The ledger's indexes hold the rows of one state each: what is finished no longer lies in the claim's way."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_enhancement_claim", table_name="enhancement")
    _of_state("ready", "ix_enhancement_ready", ["priority", "not_before", "id"])
    _of_state("running", "ix_enhancement_running", ["lease_until"])
    _of_state("ready", "ix_enhancement_deadline", ["deadline_at"])
    op.create_index("ix_enhancement_state", "enhancement", ["state", "id"])


def _of_state(state: str, name: str, columns: list[str]) -> None:
    where = sa.text(f"state = '{state}'")
    op.create_index(name, "enhancement", columns, sqlite_where=where, postgresql_where=where)
