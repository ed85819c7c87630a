"""One file of `/predict` to its answer: read, predicted, found; no ledger, nothing is made for a PACS."""
