"""Retention: what is kept ends by age, space and proof of delivery; a study is pinned, deleted, a patient forgotten."""
