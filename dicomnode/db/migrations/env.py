"""Alembic's entry point. Always driven by `dicomnode.db.migrate`, which hands over an open connection."""

from alembic import context

from dicomnode.db.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=False,
)
with context.begin_transaction():
    context.run_migrations()
