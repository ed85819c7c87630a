"""Unified Procedure Steps as data: attributes, states, rows of the ledger (PS3.4 CC.1, CC.2.5)."""
