"""Alembic's entry: runs the revisions on the connection that `tuner.store.migrate` hands over."""

from alembic import context

from tuner.store.migrate import is_ours
from tuner.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
