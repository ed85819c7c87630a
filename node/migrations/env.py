"""Alembic's entry: `node.ledger.Ledger.migrate` hands over the connection."""

from alembic import context

from node.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
