"""Admission control: who may associate, from where, how many and how fast."""
