"""The Unified Procedure Step SCP (PS3.4 Annex CC)."""
