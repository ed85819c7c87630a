"""What an administrator asks and does: checks, figures, queries, retries, readers' feedback."""
