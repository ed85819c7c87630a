"""Subscriptions to work items, and the event reports of each change (PS3.4 CC.2.3, CC.2.4)."""
