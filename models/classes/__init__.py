"""Exclusive classes: what a card of them must hold, and how they are counted."""
