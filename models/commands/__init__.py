"""The commands readfirst models …."""
