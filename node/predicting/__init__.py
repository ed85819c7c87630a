"""Files that `/predict` takes: kept in a spool until a worker has answered, and nothing longer."""
