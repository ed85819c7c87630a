"""Sending results: which objects a peer gets, and what instead."""
