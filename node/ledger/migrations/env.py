"""Alembic's entry: `node.ledger.engine.Ledger.migrate` hands over the connection."""

from alembic import context

from node.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
