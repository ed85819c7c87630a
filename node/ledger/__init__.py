"""The ledger: one database that is the truth about studies, results, jobs and work items."""
