"""The reading work item of a study: its Data Set, and its rows in the ledger."""
