"""C-STORE as SCP: from the socket to a durable file and a row of the ledger."""
