"""Attention over cells, channels and instances of a bag."""
