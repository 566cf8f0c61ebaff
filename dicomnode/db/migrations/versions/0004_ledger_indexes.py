"""The ledger's indexes hold the rows of one state each: what is finished no longer lies in the claim's way."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_enhancement_claim", table_name="enhancement")
    _where("state = 'ready'", "ix_enhancement_ready", ["priority", "not_before", "id"])
    _where("state = 'running'", "ix_enhancement_running", ["lease_until"])
    _where("state = 'ready' AND deadline_at IS NOT NULL", "ix_enhancement_deadline", ["deadline_at"])
    _where("state <> 'ready' AND state <> 'running'", "ix_enhancement_over", ["state", "id"])


def _where(condition: str, name: str, columns: list[str]) -> None:
    where = sa.text(condition)
    op.create_index(name, "enhancement", columns, sqlite_where=where, postgresql_where=where)
