"""What Alembic runs: the steps, over the connection and in the transaction of whoever opened the history."""

from alembic import context

from provmode.history.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
